//! A durable metrics server for fleets of workers.
//!
//! The modules stand in the order of the data's path; each imports only from lower layers
//! (`tests/it/layers.rs` holds them to it, `docs/ARCHITECTURE.md` explains them).

pub mod clock;
pub mod model;
pub mod shutdown;
pub mod telemetry;

pub mod access;
pub mod log;
pub mod postgres;
pub mod protocol;
pub mod registry;

pub mod exposition;
pub mod flush;
pub mod ingest;
pub mod query;
pub mod recovery;

pub mod jobs;

pub mod http;

pub mod config;

pub mod app;
