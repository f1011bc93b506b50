//! Lines of StatsD: what is taken is within its bounds, and is read back the same.

use noetl_metrics_client::statsd::{Change, parse};
use noetl_metrics_client::vocabulary::{LABEL_VALUE_BYTES_MAX, NAME_BYTES_MAX};

/// The bytes as a line.
pub(super) fn run(bytes: &[u8]) {
    let Ok(line) = std::str::from_utf8(bytes) else { return };
    let Ok(update) = parse(line) else { return };
    assert!((1..=NAME_BYTES_MAX).contains(&update.name.len()));
    assert!(update.tags.len() <= 32);
    for (at, (name, value)) in update.tags.iter().enumerate() {
        assert!((1..=NAME_BYTES_MAX).contains(&name.len()) && value.len() <= LABEL_VALUE_BYTES_MAX);
        assert!(update.tags[..at].iter().all(|(earlier, _)| earlier != name), "{name} twice");
    }
    let (value, kind) = match update.change {
        Change::Count(steps) => (steps.to_string(), "c"),
        Change::Set(value) => (value.to_string(), "g"),
        Change::Move(change) => (format!("{change:+}"), "g"),
        Change::Observe(value) => (value.to_string(), "ms"),
    };
    match update.change {
        Change::Set(value) | Change::Move(value) => assert!(value.is_finite()),
        Change::Observe(value) => assert!(value.is_finite() && value >= 0.0),
        Change::Count(_) => {}
    }
    let tags: Vec<_> = update.tags.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    let again = format!("{}:{value}|{kind}|#{}", update.name, tags.join(","));
    assert_eq!(parse(&again), Ok(update), "{again}");
}
