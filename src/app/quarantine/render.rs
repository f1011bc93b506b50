//! What was set aside, as lines for people and for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::config::OutputForm;
use crate::log::entry::{self, Entries, Entry};
use crate::model::{SeriesDefinition, Timestamp};
use crate::postgres::quarantine::{Listed, SetAside};

/// The heading over lines of [`write_listed`].
pub(super) fn write_heading(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:>8}  {:27}  {:>4}  {:>12}  {:>8}  reason",
        "id", "at", "node", "position", "bytes"
    )
}

/// One record of a list.
pub(super) fn write_listed(
    listed: &Listed,
    form: OutputForm,
    out: &mut impl Write,
) -> io::Result<()> {
    let Listed { quarantine_id: id, at, node, position, reason, payload_bytes } = listed;
    match form {
        OutputForm::Text => {
            // A reason may have several lines, and a list has one for each record.
            let reason = reason.replace(char::is_control, " ");
            writeln!(
                out,
                "{id:>8}  {at:27}  {node:>4}  {position:>12}  {payload_bytes:>8}  {reason}"
            )
        }
        OutputForm::Json => {
            let object = json!({"id": id, "at": at, "node": node, "position": position,
                                "payload_bytes": payload_bytes, "reason": reason});
            writeln!(out, "{object}")
        }
    }
}

/// Writes the entries of a record, one a line.
pub(super) struct Lines<'a, W> {
    pub(super) form: OutputForm,
    pub(super) out: &'a mut W,
}

impl<W: Write> Lines<'_, W> {
    /// Every entry of `record`, up to the first that cannot be read.
    pub(super) fn record(&mut self, record: &SetAside) -> io::Result<()> {
        for entry in Entries::new(&record.payload) {
            let object = match entry {
                Ok(Entry::Component(component)) => component_object(&component),
                Ok(Entry::Series(series)) => series_object(&series),
                Ok(Entry::Row(row)) => row_object(&row),
                Ok(Entry::Key(key)) => key_object(&key),
                Ok(Entry::Hole(hole)) => hole_object(&hole),
                Err(error) => json!({"entry": "unreadable", "reason": error.to_string()}),
            };
            self.line(&object)?;
        }
        Ok(())
    }

    fn line(&mut self, object: &Value) -> io::Result<()> {
        match self.form {
            OutputForm::Json => writeln!(self.out, "{object}"),
            OutputForm::Text => writeln!(self.out, "{}", as_text(object)),
        }
    }
}

fn component_object(component: &entry::Component<'_>) -> Value {
    json!({"entry": "component", "component_type": component.component_type,
           "name": component.name, "runtime_id": component.runtime_id.get(),
           "first_seen": time(component.first_seen)})
}

fn series_object(series: &entry::SeriesSlot<'_>) -> Value {
    let entry::SeriesSlot { group, slot, component_type, name, definition } = series;
    let Some(read) = SeriesDefinition::parse(definition) else {
        return json!({"entry": "series", "group": group.get(), "slot": slot.get(),
                      "component_type": component_type, "name": name, "definition": "unreadable"});
    };
    let labels: serde_json::Map<_, _> =
        read.labels().map(|(key, value)| (key.to_owned(), value.into())).collect();
    json!({"entry": "series", "group": group.get(), "slot": slot.get(),
           "component_type": component_type, "name": name, "metric_name": read.name(),
           "metric_type": read.metric_type().as_str(), "labels": labels,
           "help_text": read.help(), "unit": read.unit()})
}

fn row_object(row: &entry::Row<'_>) -> Value {
    let mut offsets = row.offsets_us();
    let values: Vec<_> = row
        .slots()
        .zip(row.values())
        .map(|(slot, value)| {
            let offset = offsets.as_mut().and_then(Iterator::next).unwrap_or(0);
            let at = row.head.timestamp.offset_by(i64::from(offset));
            // JSON has no word for what is not finite.
            let value = if value.is_finite() { json!(value) } else { json!(value.to_string()) };
            json!({"slot": slot.get(), "timestamp": time(at), "value": value})
        })
        .collect();
    json!({"entry": "row", "group": row.head.group.get(),
           "received_at": time(row.head.received_at), "values": values})
}

fn key_object(key: &entry::Key<'_>) -> Value {
    json!({"entry": "key", "received_at": time(key.received_at),
           "answer": String::from_utf8_lossy(key.answer)})
}

fn hole_object(hole: &entry::Hole) -> Value {
    json!({"entry": "hole", "given_up_at": time(hole.given_up_at), "from": hole.from.get(),
           "to": hole.to.get()})
}

fn time(timestamp: Timestamp) -> String {
    // The last 26 hours of the year 9999 are beyond this type; their number is as good.
    let micros = timestamp.micros();
    jiff::Timestamp::from_microsecond(micros)
        .map_or_else(|_| micros.to_string(), |at| at.to_string())
}

/// `series: group 5, slot 0, …`: the members of an object in a line.
fn as_text(object: &Value) -> String {
    let members = object.as_object().into_iter().flatten();
    let members: Vec<_> = members
        .filter(|(name, value)| *name != "entry" && !value.is_null())
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    format!("{}: {}", object["entry"].as_str().unwrap_or_default(), members.join(", "))
}
