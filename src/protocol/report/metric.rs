//! One entry of `metrics`: checked whole, then written into the batch.

use simd_json::{Node, StaticNode};

use super::fault::{Fault, Field};
use super::labels::LabelRoom;
use super::moment::MomentReader;
use super::tape::Json;
use crate::model::limits::UNIT_BYTES_MAX;
use crate::model::{Limits, MetricType, Sample, SampleBatch, series};

/// The checks that hold for every metric of one report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) labels_max: usize,
    pub(super) name_bytes_max: usize,
    pub(super) label_value_bytes_max: usize,
    nul_possible: bool,
}

impl Bounds {
    /// `nul_possible` says whether any string of the document can hold U+0000. The canonical
    /// form of a series counts labels in 8 bits and bytes in 16, whatever the limits say.
    pub(super) fn new(limits: &Limits, nul_possible: bool) -> Self {
        Self {
            labels_max: limits.labels_max.min(usize::from(u8::MAX)),
            name_bytes_max: limits.name_bytes_max.min(usize::from(u16::MAX)),
            label_value_bytes_max: limits.label_value_bytes_max.min(usize::from(u16::MAX)),
            nul_possible,
        }
    }

    /// Whether `text` contains U+0000.
    #[inline]
    pub(super) fn holds_nul(&self, text: &str) -> bool {
        self.nul_possible && text.contains('\0')
    }
}

/// Takes the metrics of one report, one by one.
pub(super) struct MetricReader<'r, 'a> {
    pub(super) bounds: Bounds,
    pub(super) moments: MomentReader<'r, 'a>,
    pub(super) label_room: &'r mut LabelRoom,
    pub(super) batch: &'r mut SampleBatch,
}

impl<'a> MetricReader<'_, 'a> {
    /// Adds the sample of `metric` to the batch; on a fault the batch is as it was.
    #[inline]
    pub(super) fn take(&mut self, index: u32, metric: Json<'_, 'a>) -> Result<(), Fault<'a>> {
        let fields = Fields::read(metric)?;
        let bounds = &self.bounds;
        let name = read_name(fields.name, bounds)?;
        let metric_type = read_type(fields.metric_type)?;
        let value = read_value(fields.value)?;
        let timestamp = self.moments.read(fields.timestamp)?;
        let help = read_text(Field::Help, fields.help, bounds)?;
        let unit = read_text(Field::Unit, fields.unit, bounds)?;
        if unit.len() > UNIT_BYTES_MAX {
            return Err(Fault::LongUnit(unit.len()));
        }
        let arena = &mut self.batch.arena;
        let start = arena.len();
        // Labels come last: nothing can fail after the first byte is written.
        let identity_end = self.label_room.with_labels(fields.labels, bounds, |labels| {
            series::write_identity(arena, name, labels);
            arena.len()
        })?;
        series::write_metadata(arena, metric_type, help, unit);
        // `DOCUMENT_BYTES_MAX` keeps the arena's length within 32 bits.
        self.batch.samples.push(Sample {
            series: start as u32..arena.len() as u32,
            identity_bytes: (identity_end - start) as u32,
            value,
            timestamp,
            index,
        });
        Ok(())
    }
}

/// The known fields of a metric, each absent when missing or `null`, but for the value, whose
/// `null` is NaN.
#[derive(Default)]
struct Fields<'t, 'a> {
    name: Option<Json<'t, 'a>>,
    metric_type: Option<Json<'t, 'a>>,
    value: Option<Json<'t, 'a>>,
    timestamp: Option<Json<'t, 'a>>,
    labels: Option<Json<'t, 'a>>,
    help: Option<Json<'t, 'a>>,
    unit: Option<Json<'t, 'a>>,
}

impl<'t, 'a> Fields<'t, 'a> {
    #[inline]
    fn read(metric: Json<'t, 'a>) -> Result<Self, Fault<'a>> {
        let members = metric.members().ok_or_else(|| Fault::NotAnObject(metric.kind()))?;
        let mut fields = Self::default();
        let mut seen = 0_u8;
        for (key, value) in members {
            let (field, place) = match key {
                "metric_name" => (Field::Name, &mut fields.name),
                "metric_type" => (Field::Type, &mut fields.metric_type),
                "metric_value" => (Field::Value, &mut fields.value),
                "timestamp" => (Field::Timestamp, &mut fields.timestamp),
                "labels" => (Field::Labels, &mut fields.labels),
                "help_text" => (Field::Help, &mut fields.help),
                "unit" => (Field::Unit, &mut fields.unit),
                _ => continue,
            };
            let bit = 1 << field as u8;
            if seen & bit != 0 {
                return Err(Fault::DuplicateField(field.as_str()));
            }
            seen |= bit;
            *place = if field == Field::Value { Some(value) } else { value.unless_null() };
        }
        Ok(fields)
    }
}

fn read_name<'a>(name: Option<Json<'_, 'a>>, bounds: &Bounds) -> Result<&'a str, Fault<'a>> {
    let json = name.ok_or(Fault::Missing(Field::Name))?;
    let Node::String(name) = json.head() else {
        return Err(Fault::WrongType { field: Field::Name, found: json.kind() });
    };
    let (bytes, bytes_max) = (name.len(), bounds.name_bytes_max);
    if bytes == 0 {
        Err(Fault::EmptyName)
    } else if bytes > bytes_max {
        Err(Fault::LongName { bytes, bytes_max })
    } else if bounds.holds_nul(name) {
        Err(Fault::Nul(Field::Name))
    } else {
        Ok(name)
    }
}

fn read_type<'a>(metric_type: Option<Json<'_, 'a>>) -> Result<MetricType, Fault<'a>> {
    let json = metric_type.ok_or(Fault::Missing(Field::Type))?;
    let Node::String(text) = json.head() else {
        return Err(Fault::WrongType { field: Field::Type, found: json.kind() });
    };
    MetricType::parse(text).ok_or(Fault::UnknownType(text))
}

fn read_value<'a>(value: Option<Json<'_, 'a>>) -> Result<f64, Fault<'a>> {
    let json = value.ok_or(Fault::Missing(Field::Value))?;
    match json.head() {
        Node::Static(StaticNode::F64(number)) => Ok(number),
        Node::Static(StaticNode::I64(number)) => Ok(number as f64),
        Node::Static(StaticNode::U64(number)) => Ok(number as f64),
        Node::Static(StaticNode::Null) => Ok(f64::NAN),
        Node::String(text) => match text {
            "NaN" => Ok(f64::NAN),
            "+Inf" | "Inf" | "Infinity" | "+Infinity" => Ok(f64::INFINITY),
            "-Inf" | "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(Fault::UnknownValue(text)),
        },
        Node::Static(StaticNode::Bool(_)) | Node::Object { .. } | Node::Array { .. } => {
            Err(Fault::WrongType { field: Field::Value, found: json.kind() })
        }
    }
}

/// The text of an optional field, empty when absent.
fn read_text<'a>(
    field: Field,
    text: Option<Json<'_, 'a>>,
    bounds: &Bounds,
) -> Result<&'a str, Fault<'a>> {
    let Some(json) = text else {
        return Ok("");
    };
    match json.head() {
        Node::String(text) if bounds.holds_nul(text) => Err(Fault::Nul(field)),
        Node::String(text) => Ok(text),
        _ => Err(Fault::WrongType { field, found: json.kind() }),
    }
}
