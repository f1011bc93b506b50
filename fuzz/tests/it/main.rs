//! What must hold for hostile bytes, without libFuzzer: for the corpus, for seeded mutations of it,
//! and for reports made by a generator.

#![allow(
    clippy::unwrap_used,
    reason = "a failed unwrap is a failed test, also in what tests share"
)]

mod corpus;
mod expected;
mod generated;
