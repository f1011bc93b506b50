//! Fills the memory again: from PostgreSQL with the components seen lately, from the log with
//! everything after that, and later with single components that come back.
//!
//! Owns the order in which both are read: PostgreSQL first, the log second, for the log is
//! newer. Guarantees bounded memory: both are read record by record. Refuses to decide what is
//! durable; that is the log's word alone. Where PostgreSQL is away, groups begin anew, which is
//! correct and a little less compact.

mod database;
mod loader;
mod replay;
#[cfg(test)]
mod tests;

pub use database::{DatabaseRecovery, FillError, fill};
pub use loader::Loader;
pub use replay::{Replay, Replayed};
