//! How durations and sizes are written, for workers and for the server alike.

use std::time::Duration;

/// A length of time such as `250ms`, `15s`, `5m`, `1h` or `7d`; a bare number means seconds.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text);
    let seconds_per_unit = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds_per_unit).ok()
}

/// A number of bytes such as `64KiB`, `500MB` or `8GiB`; a bare number means bytes.
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let bytes_per_unit: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    number.checked_mul(bytes_per_unit)
}

/// A whole number, whose digits may be grouped by underscores.
pub fn count(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| digits.parse().ok())?
}

/// Splits `15s` into `15` and `s`. Only digits and a point belong to the number, so that signs,
/// exponents and `inf` are no durations.
fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    (number, unit.trim_start())
}
