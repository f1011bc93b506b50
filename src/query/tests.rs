//! Queries against a real PostgreSQL.

mod components;
mod faults;
mod filters;
mod fixture;
mod paging;
mod plans;
mod streaming;
