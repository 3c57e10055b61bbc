//! What the language's text is made of on average, and so its entropy: exact, from the grammar.

use super::{
    ADJECTIVES, AGAIN, CLASSES, CLOSE, COPIED, COPY, Corpus, END, MARKS, P_CLAUSE, P_COPY, P_OBJECT,
};
use super::{P_SINGULAR, THAT};

fn entropy(p: &[f64]) -> f64 {
    p.iter().filter(|p| **p > 0.0).map(|p| -p * libm::log(*p)).sum()
}

fn coin(p: f64) -> f64 {
    entropy(&[p, 1.0 - p])
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
