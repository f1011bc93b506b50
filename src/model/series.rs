//! The canonical bytes of a series: one form from the decoder to the log.
//!
//! ```text
//! identity:  u16 name length, name, u8 label count,
//!            per label in ascending key order: u16 key length, key, u16 value length, value
//! metadata:  u8 metric type, u16 help length, help, u8 unit length, unit
//! ```
//!
//! Integers are little-endian. Two series are the same when their identities are equal byte for
//! byte; every part has its length before it, so no two label sets share a form.
//! Metadata follows the identity, so that a known series with known metadata is recognised by
//! one comparison.

use super::limits::{HELP_BYTES_MAX, UNIT_BYTES_MAX};

/// The four types of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricType {
    /// A value that only rises, but for restarts.
    Counter,
    /// A value that rises and falls.
    Gauge,
    /// One series of a histogram.
    Histogram,
    /// One series of a summary.
    Summary,
}

impl MetricType {
    /// Exactly one of `counter`, `gauge`, `histogram`, `summary`; else `None`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "counter" => Some(Self::Counter),
            "gauge" => Some(Self::Gauge),
            "histogram" => Some(Self::Histogram),
            "summary" => Some(Self::Summary),
            _ => None,
        }
    }

    /// The name that [`MetricType::parse`] takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }

    /// The type's code in the canonical form.
    pub fn code(self) -> u8 {
        match self {
            Self::Counter => 1,
            Self::Gauge => 2,
            Self::Histogram => 3,
            Self::Summary => 4,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Counter, Self::Gauge, Self::Histogram, Self::Summary]
            .into_iter()
            .find(|metric_type| metric_type.code() == code)
    }
}

/// Appends the identity of a series to `out`.
///
/// `labels` must be in ascending order of their keys without a repeat, and every part within the
/// lengths of [`super::Limits`], which fit `u16`; the decoder has checked both.
pub fn write_identity(out: &mut Vec<u8>, name: &str, labels: &[(&str, &str)]) {
    debug_assert!(labels.is_sorted_by(|a, b| a.0 < b.0));
    write_text(out, name);
    out.push(labels.len() as u8);
    for (key, value) in labels {
        write_text(out, key);
        write_text(out, value);
    }
}

/// Appends the metadata of a series to `out`; empty means none. A help text over its limit is
/// cut at a character's boundary.
pub fn write_metadata(out: &mut Vec<u8>, metric_type: MetricType, help: &str, unit: &str) {
    debug_assert!(unit.len() <= UNIT_BYTES_MAX);
    out.push(metric_type.code());
    write_text(out, &help[..help.floor_char_boundary(HELP_BYTES_MAX)]);
    out.push(unit.len() as u8);
    out.extend_from_slice(unit.as_bytes());
}

#[inline]
fn write_text(out: &mut Vec<u8>, text: &str) {
    debug_assert!(text.len() <= usize::from(u16::MAX));
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// A checked view of the canonical bytes of a series, identity and metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesDefinition<'a> {
    name: &'a str,
    label_count: u8,
    labels: &'a [u8],
    metric_type: MetricType,
    help: &'a str,
    unit: &'a str,
    identity_bytes: usize,
}

impl<'a> SeriesDefinition<'a> {
    /// Reads the form that [`write_identity`] and [`write_metadata`] wrote; `None` when `bytes`
    /// is not exactly one such form in valid UTF-8 with labels in ascending order.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor { rest: bytes };
        let name = cursor.text()?;
        let label_count = cursor.byte()?;
        let labels_start = cursor.rest;
        let mut last_key = None;
        for _ in 0..label_count {
            let key = cursor.text()?;
            if last_key.is_some_and(|last| last >= key) {
                return None;
            }
            last_key = Some(key);
            cursor.text()?;
        }
        let labels = &labels_start[..labels_start.len() - cursor.rest.len()];
        let identity_bytes = bytes.len() - cursor.rest.len();
        let metric_type = MetricType::from_code(cursor.byte()?)?;
        let help = cursor.text()?;
        let unit_length = usize::from(cursor.byte()?);
        let unit = cursor.text_of(unit_length)?;
        cursor.rest.is_empty().then_some(Self {
            name,
            label_count,
            labels,
            metric_type,
            help,
            unit,
            identity_bytes,
        })
    }

    /// The metric's name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The labels in ascending order of their keys.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut cursor = Cursor { rest: self.labels };
        (0..self.label_count).map(move |_| {
            let key = cursor.text().unwrap_or_default();
            (key, cursor.text().unwrap_or_default())
        })
    }

    /// The metric's type.
    pub fn metric_type(&self) -> MetricType {
        self.metric_type
    }

    /// The help text, or `None`.
    pub fn help(&self) -> Option<&'a str> {
        (!self.help.is_empty()).then_some(self.help)
    }

    /// The unit, or `None`.
    pub fn unit(&self) -> Option<&'a str> {
        (!self.unit.is_empty()).then_some(self.unit)
    }

    /// How many of the bytes are the identity.
    pub fn identity_bytes(&self) -> usize {
        self.identity_bytes
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn text(&mut self) -> Option<&'a str> {
        let (length, rest) = self.rest.split_first_chunk::<2>()?;
        self.rest = rest;
        self.text_of(usize::from(u16::from_le_bytes(*length)))
    }

    fn text_of(&mut self, length: usize) -> Option<&'a str> {
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        std::str::from_utf8(text).ok()
    }
}

/// The canonical bytes of a gauge, for tests, and how many of them are its identity.
#[cfg(test)]
pub(crate) fn gauge(
    name: &str,
    labels: &[(&str, &str)],
    help: &str,
    unit: &str,
) -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    write_identity(&mut bytes, name, labels);
    let identity = bytes.len();
    write_metadata(&mut bytes, MetricType::Gauge, help, unit);
    (bytes, identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(name: &str, labels: &[(&str, &str)], help: &str, unit: &str) -> Vec<u8> {
        gauge(name, labels, help, unit).0
    }

    #[test]
    fn what_was_written_is_read() {
        let labels = [("component", "w-1"), ("hostname", "knoten-ü")];
        let bytes = canonical("noetl_cpu", &labels, "CPU usage", "percent");
        let series = SeriesDefinition::parse(&bytes).unwrap();
        assert_eq!(series.name(), "noetl_cpu");
        assert_eq!(series.labels().collect::<Vec<_>>(), labels);
        assert_eq!(series.metric_type(), MetricType::Gauge);
        assert_eq!((series.help(), series.unit()), (Some("CPU usage"), Some("percent")));
        let mut identity = Vec::new();
        write_identity(&mut identity, "noetl_cpu", &labels);
        assert_eq!(&bytes[..series.identity_bytes()], identity);
    }

    #[test]
    fn neighbouring_parts_cannot_be_confused() {
        let one = canonical("a", &[("b", "cd")], "", "");
        for other in [
            canonical("a", &[("bc", "d")], "", ""),
            canonical("ab", &[("", "cd")], "", ""),
            canonical("a", &[("b", "c"), ("d", "")], "", ""),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn every_cut_and_every_flipped_length_is_refused_or_read_without_panic() {
        let bytes = canonical("name", &[("k", "v"), ("l", "w")], "help", "unit");
        for end in 0..bytes.len() {
            assert_eq!(SeriesDefinition::parse(&bytes[..end]), None, "cut at {end}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                if let Some(series) = SeriesDefinition::parse(&damaged) {
                    assert_eq!(series.labels().count(), 2);
                }
            }
        }
    }

    #[test]
    fn a_long_help_text_is_cut_between_characters() {
        let help = "ü".repeat(600);
        let bytes = canonical("name", &[], &help, "");
        let series = SeriesDefinition::parse(&bytes).unwrap();
        assert_eq!(series.help().map(str::len), Some(HELP_BYTES_MAX));
        let odd = format!("x{help}");
        let bytes = canonical("name", &[], &odd, "");
        assert_eq!(SeriesDefinition::parse(&bytes).unwrap().help().map(str::len), Some(1023));
    }
}
