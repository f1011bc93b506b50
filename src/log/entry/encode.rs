//! Writes entries. The bounds that are asserted here hold for everything the decoders let in.

use super::{
    Component, Hole, Key, ROW_OFFSET_US_END, RowHead, STORED_KEY_BYTES_MAX, SeriesSlot,
    TAG_COMPONENT, TAG_HOLE, TAG_KEY, TAG_ROW, TAG_ROW_WITH_OFFSETS, TAG_SERIES,
};

/// Bytes of a row before its values: tag, group, two timestamps, present.
const ROW_HEAD_BYTES: usize = 1 + 4 * 8;

/// Appends a component. Its type and name must be at most 255 bytes long.
pub fn encode_component(out: &mut Vec<u8>, component: &Component<'_>) {
    out.push(TAG_COMPONENT);
    out.extend_from_slice(&component.runtime_id.get().to_le_bytes());
    out.extend_from_slice(&component.first_seen.micros().to_le_bytes());
    write_short(out, component.component_type.as_bytes());
    write_short(out, component.name.as_bytes());
}

/// Appends a series. The component's type and name must be at most 255 bytes long.
pub fn encode_series(out: &mut Vec<u8>, series: &SeriesSlot<'_>) {
    out.push(TAG_SERIES);
    out.extend_from_slice(&series.group.get().to_le_bytes());
    out.push(series.slot.get());
    write_short(out, series.component_type.as_bytes());
    write_short(out, series.name.as_bytes());
    write_long(out, series.definition);
}

/// Appends a row: one value, and one offset where there are any, per bit of `head.present`, in
/// the order of the slots.
///
/// # Panics
/// When the numbers of bits, values and offsets differ or are zero.
#[inline]
pub fn encode_row(out: &mut Vec<u8>, head: &RowHead, values: &[f64], offsets_us: Option<&[u32]>) {
    let count = head.present.count_ones() as usize;
    assert!(count > 0 && values.len() == count, "a row has one value per bit");
    let offset_bytes = if offsets_us.is_some() { 4 * count } else { 0 };
    out.reserve(ROW_HEAD_BYTES + 8 * count + offset_bytes);
    let mut row = [0; ROW_HEAD_BYTES];
    row[0] = if offsets_us.is_some() { TAG_ROW_WITH_OFFSETS } else { TAG_ROW };
    row[1..9].copy_from_slice(&head.group.get().to_le_bytes());
    row[9..17].copy_from_slice(&head.timestamp.micros().to_le_bytes());
    row[17..25].copy_from_slice(&head.received_at.micros().to_le_bytes());
    row[25..33].copy_from_slice(&head.present.to_le_bytes());
    out.extend_from_slice(&row);
    extend_chunks(out, values, |value| value.to_le_bytes());
    if let Some(offsets) = offsets_us {
        assert!(offsets.len() == count, "a row has one offset per bit");
        debug_assert!(offsets.iter().all(|offset| *offset < ROW_OFFSET_US_END));
        extend_chunks(out, offsets, |offset| offset.to_le_bytes());
    }
}

/// Appends an idempotency key, at most [`STORED_KEY_BYTES_MAX`] bytes long.
pub fn encode_key(out: &mut Vec<u8>, key: &Key<'_>) {
    assert!(key.key.len() <= STORED_KEY_BYTES_MAX, "the length of a key was checked");
    out.push(TAG_KEY);
    out.extend_from_slice(&key.received_at.micros().to_le_bytes());
    out.extend_from_slice(&key.body_digest);
    write_short(out, key.key);
    write_long(out, key.answer);
}

/// Appends a hole.
pub fn encode_hole(out: &mut Vec<u8>, hole: &Hole) {
    out.push(TAG_HOLE);
    out.extend_from_slice(&hole.given_up_at.micros().to_le_bytes());
    out.extend_from_slice(&hole.from.get().to_le_bytes());
    out.extend_from_slice(&hole.to.get().to_le_bytes());
}

/// Grows `out` once and fills it in a loop that the compiler turns into a copy.
#[inline]
fn extend_chunks<T: Copy, const N: usize>(
    out: &mut Vec<u8>,
    items: &[T],
    to_bytes: impl Fn(T) -> [u8; N],
) {
    let start = out.len();
    out.resize(start + N * items.len(), 0);
    for (chunk, item) in out[start..].as_chunks_mut::<N>().0.iter_mut().zip(items) {
        *chunk = to_bytes(*item);
    }
}

fn write_short(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u8::try_from(bytes.len()).expect("the lengths of names were checked");
    out.push(length);
    out.extend_from_slice(bytes);
}

fn write_long(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a report is far below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}
