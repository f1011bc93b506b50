//! The page for Prometheus: the last value of every series, rendered from memory.
//!
//! Owns the text exposition format 0.0.4 and OpenMetrics 1.0. Guarantees a valid page in both,
//! whatever workers send: names are sanitised, values escaped, a family has one type and its
//! samples stand together, no name with the same labels stands twice, and what no parser would
//! take is left out. Refuses to know PostgreSQL: a scrape never waits for the database.
//!
//! The way of a series: `catalogue` finds its family by way of `names`, which decides what
//! belongs together, and puts its line into a `block` of up to a few hundred. `sections` renders
//! and compresses blocks that changed, and only those; `page` strings the compressed pieces
//! together and serves the result, inflated again for the few who take no gzip.

mod block;
mod catalogue;
mod cell;
mod deflate;
mod family;
mod fitness;
mod names;
mod page;
mod sections;
mod text;

pub use deflate::PageText;
pub use page::{Page, PageSettings, Rendered};
pub use text::Format;
