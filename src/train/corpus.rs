//! A synthetic language to train on where there is no text: seeded, endless, with known entropy.
//!
//! ```text
//! text     := (sentence | copy)*
//! sentence := phrase verb [phrase] END
//! phrase   := adjective* noun ["that" phrase verb ","]      centre embedding, three deep
//! copy     := "copy" word{2..6} "again" the same words END
//! ```
//!
//! What a model can learn from it, easy to hard: how frequent words are (every class is a Zipf
//! distribution), the order of classes, which verbs follow which noun (a noun belongs to one of eight
//! classes, each with an order of preference over verbs), that a verb agrees in number with its noun,
//! over any embedded clause, and that what follows "again" is what followed "copy".
//!
//! All choices are independent with known probabilities, and the text shows every one of them (the
//! grammar is unambiguous, read from the left). So the entropy of the text is the entropy of the
//! choices, exactly: [`Corpus::entropy`] is what a perfect model with unlimited context reaches, and
//! [`Corpus::unigram_entropy`] what a model without context reaches. Windows that start inside a
//! sentence lose a little context, so a trained loss lies between the two.

use crate::random::Stream;

/// Smallest vocabulary: the five marks and a few words of every class.
pub const SMALLEST_VOCAB: usize = 24;
/// Larger vocabularies use only so many words.
const LARGEST_VOCAB: usize = 1 << 16;

const END: u32 = 0;
const THAT: u32 = 1;
const CLOSE: u32 = 2;
const COPY: u32 = 3;
const AGAIN: u32 = 4;
const MARKS: usize = 5;

const P_COPY: f64 = 0.25;
const P_SINGULAR: f64 = 0.6;
const P_OBJECT: f64 = 0.5;
/// Chance of a clause in a phrase at depth 0, 1, 2; none deeper.
const P_CLAUSE: [f64; 3] = [0.35, 0.25, 0.15];
/// Number of adjectives 0, 1, 2.
const ADJECTIVES: [f64; 3] = [0.6, 0.3, 0.1];
/// Copied words: 2 to 6, equally likely.
const COPIED: std::ops::RangeInclusive<usize> = 2..=6;
const CLASSES: usize = 8;

/// A Zipf distribution: word `k` has probability proportional to 1/(k + 1).
struct Zipf {
    p: Vec<f64>,
    cumulative: Vec<f64>,
}

impl Zipf {
    fn new(n: usize) -> Self {
        let total: f64 = (1..=n).map(|k| 1.0 / k as f64).sum();
        let p: Vec<f64> = (1..=n).map(|k| 1.0 / (k as f64 * total)).collect();
        let mut sum = 0.0;
        let cumulative = p.iter().map(|x| {
            sum += x;
            sum
        });
        Zipf { cumulative: cumulative.collect(), p }
    }

    fn draw(&self, stream: &mut Stream) -> usize {
        let u = stream.uniform();
        self.cumulative.partition_point(|c| *c <= u).min(self.p.len() - 1)
    }
}

fn entropy(p: &[f64]) -> f64 {
    p.iter().filter(|p| **p > 0.0).map(|p| -p * libm::log(*p)).sum()
}

fn coin(p: f64) -> f64 {
    entropy(&[p, 1.0 - p])
}

/// The language: its words and their frequencies.
pub struct Corpus {
    seed: u64,
    adjectives: Zipf,
    nouns: Zipf,
    verbs: Zipf,
    words: Zipf,
    /// Verbs by preference, for every class of nouns.
    preference: Vec<Vec<usize>>,
}

/// Expected numbers per phrase: tokens, nats of choice, adjectives, nouns, verbs, clauses.
#[derive(Clone, Copy, Default)]
struct Expected {
    tokens: f64,
    nats: f64,
    adjectives: f64,
    nouns: f64,
    verbs: f64,
    clauses: f64,
}

impl Corpus {
    /// The language of `seed` over token ids below `vocab`; `None` for a vocabulary below
    /// [`SMALLEST_VOCAB`]. The seed decides which verbs a class of nouns prefers.
    pub fn new(vocab: usize, seed: u64) -> Option<Self> {
        if vocab < SMALLEST_VOCAB {
            return None;
        }
        let lexicon = vocab.min(LARGEST_VOCAB) - MARKS;
        // Nouns and verbs have two forms each.
        let adjectives = lexicon / 5;
        let verbs = (lexicon - adjectives) / 5;
        let nouns = (lexicon - adjectives - 2 * verbs) / 2;
        let order = |class: usize| {
            let mut order: Vec<usize> = (0..verbs).collect();
            Stream::new(seed, &format!("corpus/class/{class}")).shuffle(&mut order);
            order
        };
        Some(Corpus {
            seed,
            preference: (0..CLASSES).map(order).collect(),
            words: Zipf::new(adjectives + 2 * nouns + 2 * verbs),
            adjectives: Zipf::new(adjectives),
            nouns: Zipf::new(nouns),
            verbs: Zipf::new(verbs),
        })
    }

    fn noun(&self, noun: usize, plural: bool) -> u32 {
        (MARKS + self.adjectives.p.len() + 2 * noun + usize::from(plural)) as u32
    }

    fn verb(&self, verb: usize, plural: bool) -> u32 {
        (MARKS + self.adjectives.p.len() + 2 * (self.nouns.p.len() + verb) + usize::from(plural)) as u32
    }

    /// `n` tokens of the text called `name` (`"train"`, `"valid"`): another name, another text.
    pub fn tokens(&self, name: &str, n: usize) -> Vec<u32> {
        let mut stream = Stream::new(self.seed, &format!("corpus/text/{name}"));
        let mut out = Vec::with_capacity(n + 64);
        while out.len() < n {
            if stream.uniform() < P_COPY {
                self.copy(&mut stream, &mut out)
            } else {
                self.sentence(&mut stream, &mut out)
            }
        }
        out.truncate(n);
        out
    }

    fn copy(&self, stream: &mut Stream, out: &mut Vec<u32>) {
        let n = COPIED.start() + stream.below(COPIED.end() - COPIED.start() + 1);
        out.push(COPY);
        let start = out.len();
        for _ in 0..n {
            out.push((MARKS + self.words.draw(stream)) as u32);
        }
        out.push(AGAIN);
        out.extend_from_within(start..start + n);
        out.push(END);
    }

    fn sentence(&self, stream: &mut Stream, out: &mut Vec<u32>) {
        let (noun, plural) = self.phrase(stream, out, 0);
        out.push(self.follow(stream, noun, plural));
        if stream.uniform() < P_OBJECT {
            self.phrase(stream, out, 0);
        }
        out.push(END);
    }

    /// The verb after a noun.
    fn follow(&self, stream: &mut Stream, noun: usize, plural: bool) -> u32 {
        let rank = self.verbs.draw(stream);
        self.verb(self.preference[noun % CLASSES][rank], plural)
    }

    fn phrase(&self, stream: &mut Stream, out: &mut Vec<u32>, depth: usize) -> (usize, bool) {
        let u = stream.uniform();
        let adjectives =
            if u < ADJECTIVES[0] { 0 } else { 1 + usize::from(u >= ADJECTIVES[0] + ADJECTIVES[1]) };
        for _ in 0..adjectives {
            out.push((MARKS + self.adjectives.draw(stream)) as u32);
        }
        let plural = stream.uniform() >= P_SINGULAR;
        let noun = self.nouns.draw(stream);
        out.push(self.noun(noun, plural));
        if P_CLAUSE.get(depth).is_some_and(|p| stream.uniform() < *p) {
            out.push(THAT);
            let (inner, inner_plural) = self.phrase(stream, out, depth + 1);
            out.push(self.follow(stream, inner, inner_plural));
            out.push(CLOSE);
        }
        (noun, plural)
    }

    fn expected_phrase(&self, depth: usize) -> Expected {
        let adjectives = ADJECTIVES[1] + 2.0 * ADJECTIVES[2];
        let mut e = Expected {
            tokens: adjectives + 1.0,
            nats: entropy(&ADJECTIVES)
                + adjectives * entropy(&self.adjectives.p)
                + coin(P_SINGULAR)
                + entropy(&self.nouns.p),
            adjectives,
            nouns: 1.0,
            ..Expected::default()
        };
        if let Some(&p) = P_CLAUSE.get(depth) {
            let inner = self.expected_phrase(depth + 1);
            e.tokens += p * (inner.tokens + 3.0);
            e.nats += coin(p) + p * (inner.nats + entropy(&self.verbs.p));
            e.adjectives += p * inner.adjectives;
            e.nouns += p * inner.nouns;
            e.verbs += p * (inner.verbs + 1.0);
            e.clauses += p * (inner.clauses + 1.0);
        }
        e
    }

    /// Expected numbers of a sentence or copy, and how many words a copy has (once).
    fn expected(&self) -> (Expected, f64) {
        let phrase = self.expected_phrase(0);
        let phrases = 1.0 + P_OBJECT;
        let copied = (COPIED.start() + COPIED.end()) as f64 / 2.0;
        let lengths = COPIED.count() as f64;
        let (s, c) = (1.0 - P_COPY, P_COPY);
        let e = Expected {
            tokens: s * (phrases * phrase.tokens + 2.0) + c * (2.0 * copied + 3.0),
            nats: coin(P_COPY)
                + s * (phrases * phrase.nats + entropy(&self.verbs.p) + coin(P_OBJECT))
                + c * (libm::log(lengths) + copied * entropy(&self.words.p)),
            adjectives: s * phrases * phrase.adjectives,
            nouns: s * phrases * phrase.nouns,
            verbs: s * (phrases * phrase.verbs + 1.0),
            clauses: s * phrases * phrase.clauses,
        };
        (e, copied)
    }

    /// Entropy of the text, nats per token: the lowest loss any model can have on average.
    pub fn entropy(&self) -> f64 {
        let (e, _) = self.expected();
        e.nats / e.tokens
    }

    /// Frequency of every token.
    pub fn frequencies(&self) -> Vec<f64> {
        let (e, copied) = self.expected();
        let mut f = vec![0.0; MARKS + self.words.p.len()];
        f[END as usize] = 1.0;
        (f[THAT as usize], f[CLOSE as usize]) = (e.clauses, e.clauses);
        (f[COPY as usize], f[AGAIN as usize]) = (P_COPY, P_COPY);
        for (k, p) in self.words.p.iter().enumerate() {
            f[MARKS + k] += 2.0 * P_COPY * copied * p;
        }
        for (k, p) in self.adjectives.p.iter().enumerate() {
            f[MARKS + k] += e.adjectives * p;
        }
        for (noun, p) in self.nouns.p.iter().enumerate() {
            for (plural, q) in [(false, P_SINGULAR), (true, 1.0 - P_SINGULAR)] {
                f[self.noun(noun, plural) as usize] += e.nouns * p * q;
                for (rank, r) in self.verbs.p.iter().enumerate() {
                    let verb = self.preference[noun % CLASSES][rank];
                    f[self.verb(verb, plural) as usize] += e.verbs * p * q * r;
                }
            }
        }
        f.iter_mut().for_each(|x| *x /= e.tokens);
        f
    }

    /// Entropy of the frequencies, nats per token: the loss of the best model without context.
    pub fn unigram_entropy(&self) -> f64 {
        entropy(&self.frequencies())
    }
}

#[cfg(test)]
mod tests {
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
}
