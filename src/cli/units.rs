//! Times and sizes as they are written on the command line.

/// Seconds, from `90`, `90s`, `10m` or `2h`.
///
/// # Errors
/// What is no time.
pub fn seconds(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is no time; write 90s, 10m or 2h");
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let x: f64 = number.parse().map_err(|_| wrong())?;
    if x.is_finite() && x >= 0.0 { Ok(x * factor) } else { Err(wrong()) }
}

/// Bytes, from `512M` or `4G` (powers of ten).
///
/// # Errors
/// What is no size.
pub fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("`{text}` is no size; write 512M or 4G");
    let (number, factor) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 1e3),
        Some((at, 'M' | 'm')) => (&text[..at], 1e6),
        Some((at, 'G' | 'g')) => (&text[..at], 1e9),
        _ => (text, 1.0),
    };
    let x: f64 = number.parse().map_err(|_| wrong())?;
    if x.is_finite() && x >= 0.0 { Ok((x * factor) as usize) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        assert_eq!(seconds("90"), Ok(90.0));
        assert_eq!(seconds("1.5m"), Ok(90.0));
        assert_eq!(seconds("2h"), Ok(7200.0));
        assert!(seconds("ten minutes").is_err() && seconds("-3s").is_err() && seconds("").is_err());
        assert_eq!(size("4G"), Ok(4_000_000_000));
        assert!(size("much").is_err() && size("").is_err());
    }
}
