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

mod entropy;
#[cfg(test)]
mod tests;

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
}
