//! The entries of a record: what is decoded is encoded to the same bytes.

use noetl_metrics::log::entry::{
    Entries, Entry, encode_component, encode_hole, encode_key, encode_row, encode_series,
};

/// The bytes as the payload of a record.
pub(super) fn run(payload: &[u8]) {
    let mut encoded = Vec::new();
    let mut error = None;
    for entry in Entries::new(payload) {
        assert!(error.is_none(), "an error is the end");
        match entry {
            Ok(entry) => encode(&mut encoded, &entry),
            Err(found) => error = Some(found),
        }
    }
    let read = error.map_or(payload.len(), |error| error.offset);
    assert_eq!(encoded, payload[..read], "{error:?}");
}

fn encode(out: &mut Vec<u8>, entry: &Entry<'_>) {
    match entry {
        Entry::Component(component) => encode_component(out, component),
        Entry::Series(series) => encode_series(out, series),
        Entry::Key(key) => encode_key(out, key),
        Entry::Hole(hole) => encode_hole(out, hole),
        Entry::Row(row) => {
            let values: Vec<f64> = row.values().collect();
            let offsets: Option<Vec<u32>> = row.offsets_us().map(Iterator::collect);
            assert_eq!(row.slots().count(), values.len());
            encode_row(out, &row.head, &values, offsets.as_deref());
        }
    }
}
