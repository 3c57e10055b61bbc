//! Suggestions: the nearest legal name, and lists of what is legal.

/// The candidate nearest to `name`, if it is near enough to be what was meant.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 64 {
        return None;
    }
    let wanted = name.to_lowercase();
    let allowed = (name.chars().count() / 3).max(1);
    let near = |c: &'a str| {
        let lower = c.to_lowercase();
        let distance = strsim::damerau_levenshtein(&wanted, &lower);
        // A start or an end of the other is meant more often than its distance says.
        let part = wanted.len() >= 3
            && lower.len() >= 3
            && (lower.starts_with(&wanted) || wanted.starts_with(&lower));
        (distance <= allowed || part).then_some((distance, c))
    };
    candidates.into_iter().filter_map(near).min().map(|(_, c)| c)
}

/// `a`, `b`, `c`; long lists are cut.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut all: Vec<&str> = names.into_iter().collect();
    all.dedup();
    let more = all.len().saturating_sub(24);
    all.truncate(24);
    let text = all.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    match (all.is_empty(), more) {
        (true, _) => "none".into(),
        (_, 0) => text,
        _ => format!("{text} and {more} more"),
    }
}

/// "did you mean `x`?", or what there is.
pub fn hint<'a>(name: &str, what: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let all: Vec<&str> = candidates.into_iter().collect();
    match suggest(name, all.iter().copied()) {
        Some(s) => format!("did you mean `{s}`?"),
        None => format!("{what}: {}", list(all)),
    }
}
