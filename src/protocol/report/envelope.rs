//! The report around its metrics.

use simd_json::{Node, StaticNode};

use super::tape::{Json, Values};
use super::{ComponentRef, METRICS_MAX, ReportError};
use crate::model::component::DEFAULT_COMPONENT_TYPE;
use crate::model::{ComponentKey, RuntimeId};

/// The known fields of a report, each absent when missing or `null`.
#[derive(Default)]
pub(super) struct Envelope<'t, 'a> {
    component_name: Option<Json<'t, 'a>>,
    component_type: Option<Json<'t, 'a>>,
    runtime_id: Option<Json<'t, 'a>>,
    metrics: Option<Json<'t, 'a>>,
}

impl<'t, 'a> Envelope<'t, 'a> {
    /// Finds the fields; those that are not known are passed over.
    pub(super) fn read(document: Json<'t, 'a>) -> Result<Self, ReportError> {
        let members = document.members().ok_or(ReportError::NotAnObject(document.kind()))?;
        let mut envelope = Self::default();
        let mut seen = 0_u8;
        for (key, value) in members {
            let (field, bit, place) = match key {
                "component_name" => ("component_name", 1, &mut envelope.component_name),
                "component_type" => ("component_type", 2, &mut envelope.component_type),
                "runtime_id" => ("runtime_id", 4, &mut envelope.runtime_id),
                "metrics" => ("metrics", 8, &mut envelope.metrics),
                _ => continue,
            };
            if seen & bit != 0 {
                return Err(ReportError::DuplicateField(field));
            }
            seen |= bit;
            *place = value.unless_null();
        }
        Ok(envelope)
    }

    /// Who reports.
    pub(super) fn component(&self) -> Result<ComponentRef<'a>, ReportError> {
        let component_type = text("component_type", self.component_type)?;
        let runtime_id = self.runtime_id.map(runtime_id).transpose()?;
        match (text("component_name", self.component_name)?, runtime_id) {
            (Some(name), _) => {
                ComponentKey::check(component_type.unwrap_or(DEFAULT_COMPONENT_TYPE), name)?;
                Ok(ComponentRef::Named { component_type, name })
            }
            (None, Some(runtime_id)) => Ok(ComponentRef::RuntimeId(runtime_id)),
            (None, None) => Err(ReportError::NoComponent),
        }
    }

    /// The entries of `metrics`, at least one.
    pub(super) fn metrics(&self) -> Result<Values<'t, 'a>, ReportError> {
        let metrics = self.metrics.ok_or(ReportError::NoMetrics)?;
        let elements = metrics.elements().ok_or_else(|| ReportError::WrongType {
            field: "metrics",
            found: metrics.kind(),
            expected: "an array of metrics",
        })?;
        match metrics.len() {
            0 => Err(ReportError::EmptyMetrics),
            1..=METRICS_MAX => Ok(elements),
            count => Err(ReportError::TooManyMetrics(count)),
        }
    }
}

fn text<'a>(
    field: &'static str,
    json: Option<Json<'_, 'a>>,
) -> Result<Option<&'a str>, ReportError> {
    match json.map(|json| (json.head(), json)) {
        None => Ok(None),
        Some((Node::String(text), _)) => Ok(Some(text)),
        Some((_, json)) => {
            Err(ReportError::WrongType { field, found: json.kind(), expected: "a string" })
        }
    }
}

fn runtime_id(json: Json<'_, '_>) -> Result<RuntimeId, ReportError> {
    let number = match json.head() {
        Node::Static(StaticNode::I64(number)) => Some(number),
        Node::Static(StaticNode::U64(number)) => i64::try_from(number).ok(),
        // Many languages have only one kind of number and write 5.0.
        Node::Static(StaticNode::F64(number)) => number.to_string().parse().ok(),
        Node::String(digits) => digits.parse().ok(),
        _ => None,
    };
    number.map(RuntimeId::from_raw).ok_or_else(|| ReportError::WrongType {
        field: "runtime_id",
        found: json.kind(),
        expected: "a 64-bit integer",
    })
}
