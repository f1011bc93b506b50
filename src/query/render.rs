//! Samples and their parts as JSON.

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};
use jiff::fmt::temporal::DateTimePrinter;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::cursor::Cursor;
use crate::model::Timestamp;
use crate::postgres::timestamptz::Timestamptz;
use crate::protocol::answer::write_string;

/// One sample as the statement answers it, borrowed from its row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample<'a> {
    pub(super) metric_id: i64,
    pub(super) runtime_id: i64,
    pub(super) component_name: &'a str,
    pub(super) component_type: &'a str,
    pub(super) metric_name: &'a str,
    pub(super) metric_type: &'a str,
    pub(super) value: f64,
    /// JSON as PostgreSQL prints it.
    pub(super) labels: &'a str,
    pub(super) help_text: Option<&'a str>,
    pub(super) unit: Option<&'a str>,
    pub(super) timestamp: Timestamp,
    pub(super) created_at: Timestamp,
}

impl<'a> Sample<'a> {
    /// Reads a row of [`super::statement::samples`].
    pub(super) fn read(row: &'a PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            metric_id: row.try_get(0)?,
            runtime_id: row.try_get(1)?,
            component_name: row.try_get(2)?,
            component_type: row.try_get(3)?,
            metric_name: row.try_get(4)?,
            metric_type: row.try_get(5)?,
            value: row.try_get(6)?,
            labels: row.try_get(7)?,
            help_text: row.try_get(8)?,
            unit: row.try_get(9)?,
            timestamp: row.try_get::<Timestamptz, _>(10)?.0,
            created_at: row.try_get::<Timestamptz, _>(11)?.0,
        })
    }

    pub(super) fn cursor(&self) -> Cursor {
        Cursor { timestamp: self.timestamp, metric_id: self.metric_id }
    }

    /// Appends the sample. The id is a string: it does not fit a JavaScript number.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"metric_id\":\"");
        write_integer(out, self.metric_id);
        out.extend_from_slice(b"\",\"runtime_id\":");
        write_integer(out, self.runtime_id);
        out.extend_from_slice(b",\"component_name\":");
        write_string(out, self.component_name);
        out.extend_from_slice(b",\"component_type\":");
        write_string(out, self.component_type);
        out.extend_from_slice(b",\"metric_name\":");
        write_string(out, self.metric_name);
        out.extend_from_slice(b",\"metric_type\":");
        write_string(out, self.metric_type);
        out.extend_from_slice(b",\"metric_value\":");
        write_value(out, self.value);
        out.extend_from_slice(b",\"labels\":");
        out.extend_from_slice(self.labels.as_bytes());
        out.extend_from_slice(b",\"help_text\":");
        write_optional(out, self.help_text);
        out.extend_from_slice(b",\"unit\":");
        write_optional(out, self.unit);
        out.extend_from_slice(b",\"timestamp\":");
        write_timestamp(out, self.timestamp);
        out.extend_from_slice(b",\"created_at\":");
        write_timestamp(out, self.created_at);
        out.push(b'}');
    }
}

/// The first row of a CSV, in the order of [`Sample::write_csv`].
pub(super) const CSV_HEADER: &str = "metric_id,runtime_id,component_name,component_type,\
    metric_name,metric_type,metric_value,labels,help_text,unit,timestamp,created_at\r\n";

impl Sample<'_> {
    /// Appends the sample as a row.
    pub(super) fn write_csv(&self, out: &mut Vec<u8>) {
        write_integer(out, self.metric_id);
        out.push(b',');
        write_integer(out, self.runtime_id);
        for text in [self.component_name, self.component_type, self.metric_name, self.metric_type] {
            out.push(b',');
            write_field(out, text);
        }
        out.push(b',');
        write_unquoted(out, |out| write_value(out, self.value));
        for text in [self.labels, self.help_text.unwrap_or(""), self.unit.unwrap_or("")] {
            out.push(b',');
            write_field(out, text);
        }
        for timestamp in [self.timestamp, self.created_at] {
            out.push(b',');
            write_unquoted(out, |out| write_timestamp(out, timestamp));
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// A field of a CSV, quoted where it must be.
fn write_field(out: &mut Vec<u8>, text: &str) {
    if !text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for (nth, part) in text.split('"').enumerate() {
        if nth > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

/// What `write` appends, without the quotes that JSON needs around it.
fn write_unquoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    write(out);
    if out.get(begin) == Some(&b'"') {
        out.remove(begin);
        out.pop();
    }
}

pub(super) fn write_integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The shortest decimal that reads back as the same number; what JSON has no number for is the
/// string that a report takes for it.
fn write_value(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else {
        out.extend_from_slice(if value > 0.0 { b"\"+Inf\"" } else { b"\"-Inf\"" });
    }
}

/// A text, or `null`.
pub(super) fn write_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => write_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// RFC 3339 in UTC, with six digits of a second's fraction unless it is zero.
pub(super) fn write_timestamp(out: &mut Vec<u8>, timestamp: Timestamp) {
    const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);
    const WHOLE: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
    const MICROS: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    let micros = timestamp.micros();
    let printer = if micros % 1_000_000 == 0 { WHOLE } else { MICROS };
    // Not `jiff::Timestamp`: that one ends 26 hours before the year 9999 does.
    let utc = EPOCH
        .checked_add(SignedDuration::from_micros(micros))
        .expect("both types reach to the end of the year 9999");
    out.push(b'"');
    printer.print_datetime(&utc, &mut *out).expect("memory is written without error");
    out.extend_from_slice(b"Z\"");
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A sample with everything that needs care.
    pub(in crate::query) const SAMPLE: Sample<'static> = Sample {
        metric_id: i64::MAX,
        runtime_id: 123,
        component_name: "worker \"1\"",
        component_type: "worker_pool",
        metric_name: "noetl_cpu",
        metric_type: "gauge",
        value: 45.2,
        labels: r#"{"a": "b\n"}"#,
        help_text: None,
        unit: Some("percent"),
        timestamp: Timestamp::MIN,
        created_at: Timestamp::MAX,
    };

    #[test]
    fn a_sample_has_every_field_of_the_contract_in_its_order() {
        let mut out = Vec::new();
        SAMPLE.write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"metric_id":"9223372036854775807","runtime_id":123,"#,
                r#""component_name":"worker \"1\"","component_type":"worker_pool","#,
                r#""metric_name":"noetl_cpu","metric_type":"gauge","metric_value":45.2,"#,
                r#""labels":{"a": "b\n"},"help_text":null,"unit":"percent","#,
                r#""timestamp":"1970-01-01T00:00:00Z","#,
                r#""created_at":"9999-12-31T23:59:59.999999Z"}"#
            )
        );
    }

    #[test]
    fn values_are_json_and_read_back_as_the_same_number() {
        let written = |value| {
            let mut out = Vec::new();
            write_value(&mut out, value);
            serde_json::from_slice::<serde_json::Value>(&out).unwrap()
        };
        for value in [0.0, -0.0, 1.0, 45.2, 1e300, 5e-324, f64::MAX, 0.1 + 0.2] {
            assert_eq!(written(value).as_f64().map(f64::to_bits), Some(value.to_bits()));
        }
        assert_eq!(written(f64::NAN), "NaN");
        assert_eq!(written(f64::INFINITY), "+Inf");
        assert_eq!(written(f64::NEG_INFINITY), "-Inf");
    }

    #[test]
    fn timestamps_show_microseconds_only_when_there_are_any() {
        let check = |micros: i64, expected: &str| {
            let mut out = Vec::new();
            write_timestamp(&mut out, Timestamp::from_micros(micros).unwrap());
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{expected}\""));
        };
        check(1_704_110_400_000_000, "2024-01-01T12:00:00Z");
        check(1_704_110_400_250_000, "2024-01-01T12:00:00.250000Z");
        check(1_704_110_399_999_999, "2024-01-01T11:59:59.999999Z");
    }

    #[test]
    fn a_row_of_a_csv_quotes_what_must_be() {
        let mut out = Vec::new();
        let sample = Sample {
            component_name: "a,b",
            value: f64::INFINITY,
            labels: r#"{"k": "v"}"#,
            help_text: Some("two\nlines"),
            unit: None,
            ..SAMPLE
        };
        sample.write_csv(&mut out);
        let row = String::from_utf8(out).unwrap();
        assert!(row.contains(",\"a,b\","), "{row}");
        assert!(row.contains(",+Inf,\"{\"\"k\"\": \"\"v\"\"}\",\"two\nlines\",,"), "{row}");
        assert!(row.ends_with("Z\r\n") && !row.contains("\"1"), "{row}");
    }
}
