//! A line of StatsD, with DogStatsD's tags.
//!
//! A decoder of hostile input: whatever the bytes are, it ends with an update or with the reason why
//! there is none.

use crate::vocabulary::{LABEL_VALUE_BYTES_MAX, NAME_BYTES_MAX};

/// Tags of one line.
const TAGS_MAX: usize = 32;

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub struct Update<'a> {
    /// The metric's name.
    pub name: &'a str,
    /// Its tags; one without a value has an empty one.
    pub tags: Vec<(&'a str, &'a str)>,
    /// What happens to it.
    pub change: Change,
}

/// What happens to a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// A counter rises by so much, sampling accounted for and rounded.
    Count(u64),
    /// A gauge has this value.
    Set(f64),
    /// A gauge rises or falls by so much.
    Move(f64),
    /// Something took or had so much.
    Observe(f64),
}

/// Why a line is no update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStatsd {
    /// It is not `name:value|type`.
    #[error("a line is not name:value|type")]
    Form,
    /// The name is empty, too long, or has control characters.
    #[error("a name is empty, too long, or has control characters")]
    Name,
    /// The value is no finite number, or not one that the type takes.
    #[error("a value is no finite number, or negative where that makes no sense")]
    Value,
    /// The type is none that is known.
    #[error("a type is none of c, g, ms, h, d")]
    Type,
    /// The sample rate is none.
    #[error("a sample rate is not between 0 and 1")]
    Rate,
    /// A tag is too long, or there are too many.
    #[error("a tag is too long, or there are more than {TAGS_MAX}")]
    Tags,
}

/// Reads `name:value|type`, with `|@rate` and `|#tag:value,…` behind it.
///
/// # Errors
/// Where the line is not of that form.
pub fn parse(line: &str) -> Result<Update<'_>, NotStatsd> {
    let (head, kind) = line.split_once('|').ok_or(NotStatsd::Form)?;
    // A name may have colons, a value has none.
    let (name, value) = head.rsplit_once(':').ok_or(NotStatsd::Form)?;
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || name.contains(char::is_control) {
        return Err(NotStatsd::Name);
    }
    let mut parts = kind.split('|');
    let kind = parts.next().unwrap_or_default();
    let (mut rate, mut tags) = (1.0, Vec::new());
    for part in parts {
        if let Some(text) = part.strip_prefix('@') {
            rate = text.parse().map_err(|_| NotStatsd::Rate)?;
            if !(rate > 0.0 && rate <= 1.0) {
                return Err(NotStatsd::Rate);
            }
        } else if let Some(list) = part.strip_prefix('#') {
            tags = read_tags(list)?;
        }
        // Other parts, such as `c:` with a container's id, are DogStatsD's own.
    }
    let number: f64 = value.parse().map_err(|_| NotStatsd::Value)?;
    if !number.is_finite() {
        return Err(NotStatsd::Value);
    }
    let change = match kind {
        "c" => {
            let steps = (number / rate).round();
            // Up to there a float still tells neighbours apart.
            if !(0.0..=9_007_199_254_740_992.0).contains(&steps) {
                return Err(NotStatsd::Value);
            }
            #[expect(clippy::cast_sign_loss, reason = "it was looked at")]
            Change::Count(steps as u64)
        }
        "g" if value.starts_with(['+', '-']) => Change::Move(number),
        "g" => Change::Set(number),
        "ms" | "h" | "d" if number >= 0.0 => Change::Observe(number),
        "ms" | "h" | "d" => return Err(NotStatsd::Value),
        _ => return Err(NotStatsd::Type),
    };
    Ok(Update { name, tags, change })
}

fn read_tags(list: &str) -> Result<Vec<(&str, &str)>, NotStatsd> {
    let mut tags: Vec<(&str, &str)> = Vec::new();
    for tag in list.split(',').filter(|tag| !tag.is_empty()) {
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        let named = (1..=NAME_BYTES_MAX).contains(&name.len());
        if !named || value.len() > LABEL_VALUE_BYTES_MAX || tag.contains(char::is_control) {
            return Err(NotStatsd::Tags);
        }
        // Of two tags of one name the later counts.
        tags.retain(|(known, _)| *known != name);
        if tags.len() == TAGS_MAX {
            return Err(NotStatsd::Tags);
        }
        tags.push((name, value));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_updates() {
        let check = |line: &str, name: &str, change: Change, tags: &[(&str, &str)]| {
            let expected = Update { name, change, tags: tags.to_vec() };
            assert_eq!(parse(line), Ok(expected), "{line}");
        };
        check("jobs:1|c", "jobs", Change::Count(1), &[]);
        check("jobs:3|c|@0.1", "jobs", Change::Count(30), &[]);
        check("jobs:1|c|@0.3", "jobs", Change::Count(3), &[]);
        check("a.b:c:2|c", "a.b:c", Change::Count(2), &[]);
        check("load:0.5|g", "load", Change::Set(0.5), &[]);
        check("load:+2|g", "load", Change::Move(2.0), &[]);
        check("load:-2|g", "load", Change::Move(-2.0), &[]);
        check("took:320|ms|@0.5", "took", Change::Observe(320.0), &[]);
        check("took:1.5|h", "took", Change::Observe(1.5), &[]);
        let tags = [("queue", "mail"), ("fast", "")];
        check("jobs:1|c|#queue:x,queue:mail,fast", "jobs", Change::Count(1), &tags);
        check("jobs:1|d|#u:a:b|c:container", "jobs", Change::Observe(1.0), &[("u", "a:b")]);
    }

    #[test]
    fn other_lines_are_refused() {
        let check = |line: &str, error: NotStatsd| assert_eq!(parse(line), Err(error), "{line}");
        check("", NotStatsd::Form);
        check("jobs", NotStatsd::Form);
        check("jobs|c", NotStatsd::Form);
        check("jobs:1", NotStatsd::Form);
        check(":1|c", NotStatsd::Name);
        check("a\0:1|c", NotStatsd::Name);
        check(&format!("{}:1|c", "x".repeat(256)), NotStatsd::Name);
        check("jobs:|c", NotStatsd::Value);
        check("jobs:one|c", NotStatsd::Value);
        check("jobs:-1|c", NotStatsd::Value);
        check("jobs:1e300|c", NotStatsd::Value);
        check("jobs:1|c|@0", NotStatsd::Rate);
        check("jobs:1|c|@2", NotStatsd::Rate);
        check("jobs:1|c|@NaN", NotStatsd::Rate);
        check("jobs:NaN|g", NotStatsd::Value);
        check("jobs:inf|g", NotStatsd::Value);
        check("took:-1|ms", NotStatsd::Value);
        check("users:7|s", NotStatsd::Type);
        check("jobs:1|", NotStatsd::Type);
        let tags: Vec<_> = (0..33).map(|n| format!("t{n}")).collect();
        check(&format!("jobs:1|c|#{}", tags.join(",")), NotStatsd::Tags);
        check("jobs:1|c|#:x", NotStatsd::Tags);
    }
}
