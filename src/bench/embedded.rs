//! Benchmarks that come with the program, so that the main job runs in a fresh clone.

/// Name and text. `docs/training.md` says how they were made.
pub const EMBEDDED: &[(&str, &str)] = &[("tiny-gpt2", include_str!("../../examples/tiny-gpt2.jsonl"))];

/// The text of an embedded benchmark.
pub(super) fn embedded(name: &str) -> Option<&'static str> {
    EMBEDDED.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}
