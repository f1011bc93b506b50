//! The labels of a metric: checked, as text, in ascending order.

use std::mem;

use simd_json::{Node, StaticNode};

use super::fault::{Fault, Field};
use super::metric::Bounds;
use super::tape::{Json, Members};

/// Room for the labels of one metric, reused from metric to metric.
#[derive(Debug, Default)]
pub(super) struct LabelRoom {
    pairs: Vec<(&'static str, &'static str)>,
    number_texts: String,
}

impl LabelRoom {
    /// Reads `labels` and hands them, sorted by name, to `then`.
    ///
    /// A callback rather than a return value: the pairs borrow from the room as well as from the
    /// document, and the room is whole again when this returns.
    #[inline]
    pub(super) fn with_labels<'a, T>(
        &mut self,
        labels: Option<Json<'_, 'a>>,
        bounds: &Bounds,
        then: impl FnOnce(&[(&str, &str)]) -> T,
    ) -> Result<T, Fault<'a>> {
        let Some(labels) = labels else {
            return Ok(then(&[]));
        };
        let Some(members) = labels.members() else {
            return Err(Fault::WrongType { field: Field::Labels, found: labels.kind() });
        };
        if labels.len() > bounds.labels_max {
            return Err(Fault::ManyLabels { count: labels.len(), count_max: bounds.labels_max });
        }
        write_number_texts(&mut self.number_texts, members.clone());
        let mut pairs = recycle(mem::take(&mut self.pairs));
        let collected = collect(&mut pairs, members, &self.number_texts, bounds);
        let result = collected.map(|()| then(&pairs));
        self.pairs = recycle(pairs);
        result
    }
}

/// Empties a vector and keeps its memory for references that live differently long.
///
/// `collect` of a mapped `into_iter` over elements of the same size works in place; a test
/// below holds the standard library to it.
fn recycle<'name, 'text>(mut pairs: Vec<(&str, &str)>) -> Vec<(&'name str, &'text str)> {
    pairs.clear();
    pairs.into_iter().map(|_| ("", "")).collect()
}

/// Ends each number's text; no number contains it.
const TEXT_END: char = '\n';

/// Writes the text of each number in `members`, in order, each with [`TEXT_END`] after it.
fn write_number_texts(texts: &mut String, members: Members<'_, '_>) {
    texts.clear();
    for (_, value) in members {
        match value.head() {
            Node::Static(StaticNode::I64(number)) => {
                texts.push_str(itoa::Buffer::new().format(number));
            }
            Node::Static(StaticNode::U64(number)) => {
                texts.push_str(itoa::Buffer::new().format(number));
            }
            Node::Static(StaticNode::F64(number)) => {
                texts.push_str(zmij::Buffer::new().format(number));
            }
            _ => continue,
        }
        texts.push(TEXT_END);
    }
}

fn collect<'text, 'a: 'text>(
    pairs: &mut Vec<(&'a str, &'text str)>,
    members: Members<'_, 'a>,
    number_texts: &'text str,
    bounds: &Bounds,
) -> Result<(), Fault<'a>> {
    let mut number_texts = number_texts.split_terminator(TEXT_END);
    let mut sorted = true;
    for (name, value) in members {
        if name.is_empty() {
            return Err(Fault::EmptyLabelName);
        }
        let (bytes, bytes_max) = (name.len(), bounds.name_bytes_max);
        if bytes > bytes_max {
            return Err(Fault::LongLabelName { name, bytes, bytes_max });
        }
        let text = match value.head() {
            Node::String(text) => text,
            Node::Static(StaticNode::Bool(true)) => "true",
            Node::Static(StaticNode::Bool(false)) => "false",
            Node::Object { .. } | Node::Array { .. } | Node::Static(StaticNode::Null) => {
                return Err(Fault::LabelValueType { name, found: value.kind() });
            }
            Node::Static(_) => number_texts.next().unwrap_or_default(),
        };
        let (bytes, bytes_max) = (text.len(), bounds.label_value_bytes_max);
        if bytes > bytes_max {
            return Err(Fault::LongLabelValue { name, bytes, bytes_max });
        }
        if bounds.holds_nul(name) || bounds.holds_nul(text) {
            return Err(Fault::LabelNul(name));
        }
        sorted &= pairs.last().is_none_or(|last| last.0 < name);
        pairs.push((name, text));
    }
    // A sender's labels mostly come sorted already; then no name can stand twice.
    if !sorted {
        pairs.sort_unstable_by_key(|&(name, _)| name);
        if let Some(two) = pairs.array_windows().find(|[one, other]| one.0 == other.0) {
            return Err(Fault::DuplicateLabel(two[0].0));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recycling_keeps_the_memory() {
        let mut pairs = Vec::with_capacity(10);
        pairs.push(("name", "text"));
        let address = pairs.as_ptr();
        let recycled = recycle(pairs);
        assert_eq!((recycled.len(), recycled.capacity(), recycled.as_ptr()), (0, 10, address));
    }
}
