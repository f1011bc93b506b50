//! The identity of a component: whatever reports.

use std::fmt;

/// The longest component name, in bytes.
pub const COMPONENT_NAME_BYTES_MAX: usize = 255;
/// The longest component type, in bytes.
pub const COMPONENT_TYPE_BYTES_MAX: usize = 63;
/// The type of a component that reports without naming one.
pub const DEFAULT_COMPONENT_TYPE: &str = "external";

/// (component_type, name): unique in `noetl.runtime`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentKey {
    component_type: Box<str>,
    name: Box<str>,
}

/// Why a pair is no [`ComponentKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidComponent {
    /// The name is empty.
    #[error("component_name is empty; give the component a name")]
    EmptyName,
    /// The name is longer than [`COMPONENT_NAME_BYTES_MAX`].
    #[error("component_name is {0} bytes long; the limit is {COMPONENT_NAME_BYTES_MAX}")]
    LongName(usize),
    /// The type is empty.
    #[error("component_type is empty; leave it out or name one, such as worker_pool")]
    EmptyType,
    /// The type is longer than [`COMPONENT_TYPE_BYTES_MAX`].
    #[error("component_type is {0} bytes long; the limit is {COMPONENT_TYPE_BYTES_MAX}")]
    LongType(usize),
    /// PostgreSQL's text cannot hold U+0000.
    #[error("component_name and component_type must not contain the character U+0000")]
    Nul,
}

impl ComponentKey {
    /// Checks both parts: neither empty, too long, nor with U+0000 in it.
    pub fn new(component_type: &str, name: &str) -> Result<Self, InvalidComponent> {
        Self::check(component_type, name)?;
        Ok(Self { component_type: component_type.into(), name: name.into() })
    }

    /// The check of [`ComponentKey::new`] without making one.
    pub fn check(component_type: &str, name: &str) -> Result<(), InvalidComponent> {
        if name.is_empty() {
            Err(InvalidComponent::EmptyName)
        } else if name.len() > COMPONENT_NAME_BYTES_MAX {
            Err(InvalidComponent::LongName(name.len()))
        } else if component_type.is_empty() {
            Err(InvalidComponent::EmptyType)
        } else if component_type.len() > COMPONENT_TYPE_BYTES_MAX {
            Err(InvalidComponent::LongType(component_type.len()))
        } else if name.contains('\0') || component_type.contains('\0') {
            Err(InvalidComponent::Nul)
        } else {
            Ok(())
        }
    }

    /// Such as `worker_pool`.
    pub fn component_type(&self) -> &str {
        &self.component_type
    }

    /// Such as `worker-cpu-01`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ComponentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.component_type, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_are_checked() {
        let check = |component_type: &str, name: &str, expected: Result<(), InvalidComponent>| {
            assert_eq!(ComponentKey::new(component_type, name).map(|_| ()), expected);
        };
        check("worker_pool", "worker-1", Ok(()));
        check("worker_pool", "", Err(InvalidComponent::EmptyName));
        check("", "worker-1", Err(InvalidComponent::EmptyType));
        check("t", &"n".repeat(255), Ok(()));
        check("t", &"n".repeat(256), Err(InvalidComponent::LongName(256)));
        check(&"t".repeat(64), "n", Err(InvalidComponent::LongType(64)));
        check("t", "a\0b", Err(InvalidComponent::Nul));
    }
}
