//! The page for Prometheus: the last value of every series, rendered from memory.
//!
//! Owns the text exposition format 0.0.4. Guarantees a valid page whatever workers send: names
//! are sanitised, values escaped, a family has one type and its samples stand together, and no
//! name with the same labels stands twice. Refuses to know PostgreSQL: a scrape never waits for
//! the database.

mod catalogue;
mod page;
mod text;

pub use page::{Page, PageSettings, Rendered};
