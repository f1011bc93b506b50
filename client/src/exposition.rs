//! The text exposition format 0.0.4 of Prometheus, as workers' files and pipes have it.
//!
//! A decoder of hostile input: whatever the bytes are, it ends, in time linear to them, with samples
//! or with the first line that is none. Borrows from the text where it can.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::snapshot::Sample;
use crate::vocabulary::{LABELS_MAX, MetricType};

/// One sample of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<'a> {
    /// The metric's name.
    pub name: &'a str,
    /// The type of its family; what is `untyped` or without a type is a gauge.
    pub metric_type: MetricType,
    /// The value.
    pub value: f64,
    /// The labels in their order.
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
    /// The family's help.
    pub help: &'a str,
    /// The family's unit.
    pub unit: &'a str,
    /// When it was taken, in milliseconds since the Unix epoch.
    pub timestamp_ms: Option<i64>,
}

impl Parsed<'_> {
    /// Hands it on as a sample.
    pub fn with_sample<T>(&self, act: impl FnOnce(&Sample<'_>) -> T) -> T {
        let labels: Vec<_> = self.labels.iter().map(|(name, value)| (*name, &**value)).collect();
        act(&Sample {
            name: self.name,
            metric_type: self.metric_type,
            value: self.value,
            labels: &labels,
            help: self.help,
            unit: self.unit,
            timestamp_us: self.timestamp_ms.map(|ms| ms.saturating_mul(1000)),
        })
    }
}

/// A line that is not of the format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct NotExposition {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// What the comments say of a family.
#[derive(Debug, Default)]
struct Family<'a> {
    metric_type: Option<MetricType>,
    help: Cow<'a, str>,
    unit: &'a str,
}

/// Reads `text` and hands each sample to `each`.
///
/// # Errors
/// The first line that is not of the format; samples before it were handed on.
pub fn parse(text: &str, mut each: impl FnMut(&Parsed<'_>)) -> Result<(), NotExposition> {
    let mut families = HashMap::new();
    for (at, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line).trim_matches([' ', '\t']);
        let failed = |problem| NotExposition { line: at + 1, problem };
        if let Some(comment) = line.strip_prefix('#') {
            note(comment, &mut families).map_err(failed)?;
        } else if !line.is_empty() {
            each(&sample(line, &families).map_err(failed)?);
        }
    }
    Ok(())
}

fn note<'a>(
    comment: &'a str,
    families: &mut HashMap<&'a str, Family<'a>>,
) -> Result<(), &'static str> {
    let (keyword, rest) = split_word(comment.trim_start_matches([' ', '\t']));
    if !matches!(keyword, "HELP" | "TYPE" | "UNIT") {
        return Ok(());
    }
    let (name, rest) = split_word(rest);
    if !is_name(name, ":") {
        return Err("a comment of this kind needs the name of a metric");
    }
    let family = families.entry(name).or_default();
    match keyword {
        "HELP" => family.help = unescaped(rest, Escapes::OfHelp)?,
        "UNIT" => family.unit = rest,
        _ => {
            family.metric_type = Some(match rest {
                "counter" => MetricType::Counter,
                "histogram" => MetricType::Histogram,
                "summary" => MetricType::Summary,
                "gauge" | "untyped" | "unknown" => MetricType::Gauge,
                _ => return Err("the type is none of counter, gauge, histogram, summary, untyped"),
            });
        }
    }
    Ok(())
}

fn sample<'f>(
    line: &'f str,
    families: &'f HashMap<&str, Family<'_>>,
) -> Result<Parsed<'f>, &'static str> {
    let end = line.find(['{', ' ', '\t']).ok_or("a name without a value")?;
    let (name, rest) = line.split_at(end);
    if !is_name(name, ":") {
        return Err("it does not begin with the name of a metric");
    }
    let rest = rest.trim_start_matches([' ', '\t']);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => read_labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split([' ', '\t']).filter(|word| !word.is_empty());
    let value = words.next().ok_or("there is no value")?;
    let value = value.parse().map_err(|_| "the value is no number")?;
    let timestamp_ms = match words.next() {
        Some(word) => Some(word.parse().map_err(|_| "the timestamp is no number of milliseconds")?),
        None => None,
    };
    if words.next().is_some() {
        return Err("there is something behind the timestamp");
    }
    let family = family_of(name, families);
    Ok(Parsed {
        name,
        metric_type: family.and_then(|one| one.metric_type).unwrap_or(MetricType::Gauge),
        value,
        labels,
        help: family.map_or("", |one| &one.help),
        unit: family.map_or("", |one| one.unit),
        timestamp_ms,
    })
}

/// The family of a sample: that of its name, or of a histogram or summary that it is a part of.
fn family_of<'f, 'a>(
    name: &str,
    families: &'f HashMap<&'a str, Family<'a>>,
) -> Option<&'f Family<'a>> {
    families.get(name).or_else(|| {
        ["_bucket", "_sum", "_count"].iter().find_map(|part| {
            let family = families.get(name.strip_suffix(part)?)?;
            let composed =
                matches!(family.metric_type, Some(MetricType::Histogram | MetricType::Summary));
            composed.then_some(family)
        })
    })
}

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// The labels after `{`, and what follows `}`.
fn read_labels(text: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut labels = Labels::new();
    let mut rest = text.trim_start_matches([' ', '\t']);
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        if labels.len() == LABELS_MAX {
            return Err("it has too many labels");
        }
        let (name, after) = rest.split_once('=').ok_or("the labels have no end")?;
        let name = name.trim_matches([' ', '\t']);
        if !is_name(name, "") {
            return Err("a label's name is none");
        }
        if labels.iter().any(|(known, _)| *known == name) {
            return Err("a label stands twice");
        }
        let after = after.trim_start_matches([' ', '\t']);
        let after = after.strip_prefix('"').ok_or("a label's value is not in quotes")?;
        let end = end_of_quoted(after).ok_or("a label's value has no end")?;
        labels.push((name, unescaped(&after[..end], Escapes::OfLabels)?));
        rest = after[end + 1..].trim_start_matches([' ', '\t']);
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start_matches([' ', '\t']),
            None if rest.starts_with('}') => {}
            None => return Err("there is neither a comma nor an end behind a label"),
        }
    }
}

/// Where the quote is that no backslash precedes.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    OfHelp,
    OfLabels,
}

fn unescaped(text: &str, escapes: Escapes) -> Result<Cow<'_, str>, &'static str> {
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some('\\') => plain.push('\\'),
            Some('n') => plain.push('\n'),
            Some('"') if escapes == Escapes::OfLabels => plain.push('"'),
            // In a help text a quote needs no backslash, and some write one.
            Some('"') => plain.push_str("\\\""),
            _ => return Err("a backslash stands before something else than \\, n or a quote"),
        }
    }
    Ok(Cow::Owned(plain))
}

fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_matches([' ', '\t']))
}

/// Letters, digits and underscores, not with a digit first; `more` may stand as well.
fn is_name(text: &str, more: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || more.contains(c))
}

#[cfg(test)]
mod tests;
