//! Values of flags that are more than a number.

use std::time::Duration;

/// `500ms`, `30s`, `5m`, `2h`, or plain seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        unit => return Err(format!("unknown unit '{unit}'; use ms, s, m or h")),
    };
    let number: f64 = digits.parse().map_err(|_| format!("'{digits}' is not a number"))?;
    Duration::try_from_secs_f64(number * factor)
        .ok()
        .filter(|duration| !duration.is_zero() && duration.as_secs() <= 7 * 86_400)
        .ok_or_else(|| "a duration is more than 0 and at most 7 days".to_owned())
}

/// Samples per second.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|rate| (0.001..=1e9).contains(rate))
        .ok_or_else(|| "a rate is a number of samples per second, up to 1e9".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, millis: Option<u64>| {
            assert_eq!(parse_duration(text).ok(), millis.map(Duration::from_millis), "{text}");
        };
        check("30s", Some(30_000));
        check("30", Some(30_000));
        check("1.5m", Some(90_000));
        check("500ms", Some(500));
        check("2h", Some(7_200_000));
        check("0s", None);
        check("8d", None);
        check("-1s", None);
        check("s", None);
        check("999999h", None);
    }
}
