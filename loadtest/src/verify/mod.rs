//! Was everything stored, once? What the workers know of their acknowledgements against what the
//! database says.

mod ledger;
mod peer;
mod postgres;
mod watch;

use serde::Serialize;

pub(crate) use ledger::Ledger;
pub(crate) use peer::samples_taken;
pub(crate) use postgres::Database;

/// The result of an exactness check, in samples unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Exactness {
    /// Acknowledged, and of unknown outcome but found stored.
    pub(crate) acknowledged: u64,
    /// In the database.
    pub(crate) stored: u64,
    /// Acknowledged and not in the database.
    pub(crate) lost: u64,
    /// In the database more than once.
    pub(crate) doubled: u64,
    /// In the database and never acknowledged, although their outcome was known.
    pub(crate) surplus: u64,
    /// Components whose counts are right and whose sums, times or series are not.
    pub(crate) altered_components: u64,
    /// The first few findings, for a person.
    pub(crate) findings: Vec<String>,
}

impl Exactness {
    /// Every acknowledged sample is stored exactly once, as it was sent, and nothing else is.
    pub(crate) fn holds(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.surplus == 0 && self.altered_components == 0
    }
}

impl Exactness {
    /// Adds those of another fleet.
    pub(crate) fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.stored += other.stored;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.surplus += other.surplus;
        self.altered_components += other.altered_components;
        self.findings.extend_from_slice(&other.findings);
    }
}

impl std::fmt::Display for Exactness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "acknowledged {}, stored {}, lost {}, doubled {}",
            self.acknowledged, self.stored, self.lost, self.doubled
        )?;
        if self.surplus > 0 {
            write!(f, ", never acknowledged {}", self.surplus)?;
        }
        if self.altered_components > 0 {
            write!(f, ", altered components {}", self.altered_components)?;
        }
        Ok(())
    }
}
