//! Answers questions about stored samples from PostgreSQL.
//!
//! Owns the parameters of `GET /api/metrics/query` ([`Filter`]), the statements that find
//! samples, and the JSON of the answer; also the list of components. Guarantees that a page is
//! bounded in rows, bytes and time, that samples come in the order of (timestamp, metric_id),
//! and that a walk along cursors meets no sample twice, whatever is written meanwhile. Refuses
//! to know HTTP, the log and what is not flushed yet: a caller who wants acknowledged samples
//! to be visible waits for the flush first (see [`Consistency`]).
//!
//! Reading in the path's order: [`filter`], `range`, `statement`, [`run`], `page`, [`stream`].

pub mod components;
pub mod cursor;
pub mod error;
pub mod filter;
mod page;
mod range;
mod render;
pub mod run;
mod statement;
pub mod stream;
#[cfg(test)]
mod tests;

pub use components::{ComponentList, PoolFilter};
pub use cursor::Cursor;
pub use error::QueryError;
pub use filter::{Consistency, Filter, InvalidFilter, LIMIT_DEFAULT, LIMIT_MAX, Order};
pub use page::Layout;
pub use run::{Queries, QueryAnswer};
pub use stream::SampleStream;
