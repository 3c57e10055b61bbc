//! The language is what its documentation says.

use super::*;

/// Reads a text back and adds up the surprise of every choice: shows that the grammar is
/// unambiguous and that the stated entropy is the true one.
struct Reader<'a> {
    c: &'a Corpus,
    text: &'a [u32],
    at: usize,
    nats: f64,
}

impl Reader<'_> {
    fn pay(&mut self, p: f64) {
        self.nats -= p.ln();
    }
    fn next(&mut self) -> usize {
        self.at += 1;
        self.text[self.at - 1] as usize
    }
    fn peek(&self) -> u32 {
        self.text[self.at]
    }
    fn verb(&mut self, (noun, plural): (usize, bool)) {
        let (a, n) = (self.c.adjectives.p.len(), self.c.nouns.p.len());
        let v = self.next() - MARKS - a - 2 * n;
        assert_eq!(v % 2 == 1, plural, "agreement");
        let rank = self.c.preference[noun % CLASSES].iter().position(|x| *x == v / 2).unwrap();
        self.pay(self.c.verbs.p[rank]);
    }
    fn phrase(&mut self, depth: usize) -> (usize, bool) {
        let a = self.c.adjectives.p.len();
        let mut count = 0;
        while (self.peek() as usize) < MARKS + a {
            let adjective = self.next() - MARKS;
            self.pay(self.c.adjectives.p[adjective]);
            count += 1;
        }
        self.pay(ADJECTIVES[count]);
        let n = self.next() - MARKS - a;
        let noun = (n / 2, n % 2 == 1);
        self.pay(self.c.nouns.p[noun.0]);
        self.pay(if noun.1 { 1.0 - P_SINGULAR } else { P_SINGULAR });
        if depth < P_CLAUSE.len() {
            let clause = self.peek() == THAT;
            self.pay(if clause { P_CLAUSE[depth] } else { 1.0 - P_CLAUSE[depth] });
            if clause {
                self.next();
                let inner = self.phrase(depth + 1);
                self.verb(inner);
                assert_eq!(self.next() as u32, CLOSE);
            }
        }
        noun
    }
    fn copy(&mut self) {
        self.next();
        let mut words = Vec::new();
        while self.peek() != AGAIN {
            let w = self.next();
            self.pay(self.c.words.p[w - MARKS]);
            words.push(w);
        }
        self.pay(1.0 / COPIED.count() as f64);
        self.next();
        for w in words {
            assert_eq!(self.next(), w, "copies repeat");
        }
    }
    fn sentence(&mut self) {
        let copy = self.peek() == COPY;
        self.pay(if copy { P_COPY } else { 1.0 - P_COPY });
        if copy {
            self.copy();
        } else {
            let noun = self.phrase(0);
            self.verb(noun);
            self.pay(0.5);
            if self.peek() != END {
                self.phrase(0);
            }
        }
        assert_eq!(self.next() as u32, END);
    }
}

#[test]
fn entropy_is_that_of_the_text() {
    for vocab in [24, 256, 1000] {
        let c = Corpus::new(vocab, 7).unwrap();
        let text = c.tokens("train", 400_000);
        assert!(text.iter().all(|t| (*t as usize) < vocab));
        let mut r = Reader { c: &c, text: &text, at: 0, nats: 0.0 };
        while r.at + 500 < text.len() {
            r.sentence();
        }
        let measured = r.nats / r.at as f64;
        assert!((measured - c.entropy()).abs() < 0.01, "{measured} {}", c.entropy());
        assert!(c.entropy() + 0.5 < c.unigram_entropy());
    }
}

#[test]
fn frequencies_are_those_of_the_text() {
    let c = Corpus::new(256, 1).unwrap();
    let f = c.frequencies();
    assert!((f.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let text = c.tokens("train", 400_000);
    let cross = text.iter().map(|t| -f[*t as usize].ln()).sum::<f64>() / text.len() as f64;
    assert!((cross - c.unigram_entropy()).abs() < 0.01, "{cross} {}", c.unigram_entropy());
}

#[test]
fn seeds_and_names_decide_the_text() {
    let c = Corpus::new(64, 1).unwrap();
    assert_eq!(c.tokens("train", 50), c.tokens("train", 200)[..50]);
    assert_ne!(c.tokens("train", 50), c.tokens("valid", 50));
    assert_ne!(c.tokens("train", 50), Corpus::new(64, 2).unwrap().tokens("train", 50));
    assert!(Corpus::new(23, 0).is_none());
}
