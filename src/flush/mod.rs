//! From the log into PostgreSQL, exactly once.
//!
//! Owns the way of a synced record into the tables: the [`Batcher`] follows the log with a
//! reader, in steady state just as after a restart, and builds batches; the [`Flusher`] commits
//! them one after the other, each with the log's new position in the same transaction; what
//! PostgreSQL refuses for its content is set aside (`refusal`). Guarantees that every row below the
//! committed position is in the tables once, or set aside once, whatever died in
//! between. Refuses to know HTTP and the ingest: the log is the only way in.

mod batch;
mod batcher;
mod buffers;
mod flusher;
#[cfg(test)]
mod memory_sink;
mod pace;
mod postgres_sink;
pub mod quarantine;
mod refusal;
#[cfg(test)]
mod simulation;
mod sink;
mod tables;
#[cfg(test)]
mod tests;
mod verdict;

pub use batch::{Batch, PartitionRows, UnreadableRecord};
pub use batcher::{BatchSettings, Batcher, BatcherError};
pub use flusher::{FlushError, Flusher, reader_at};
pub use postgres_sink::PostgresSink;
pub use sink::{RefusedRecord, Sink, SinkError};
