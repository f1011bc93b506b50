//! Queries against a real PostgreSQL.

mod faults;
mod filters;
mod fixture;
mod paging;
mod streaming;
