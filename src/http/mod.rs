//! The HTTP port: connections, admission, routes, answers.
//!
//! Owns the contract with clients (`docs/api.md`). Guarantees that every wait has a deadline and
//! every buffer a bound, that overload is refused before work is done, and that every answer
//! names its content type and every error what to do. Refuses to know how reports are stored
//! and queries answered: handlers decode what is HTTP, hand on, and render.

mod admission;
mod api;
mod body;
mod cardinality;
mod connection;
mod fast_path;
mod front;
mod impatience;
mod negotiation;
mod openapi;
mod partitions;
mod policy;
mod readiness;
mod reading;
mod reply;
mod reply_body;
mod report;
mod request_body;
mod retry_after;
mod routes;
mod runtime;
mod scrape;
mod server;
mod service;
mod status;
mod terms;
mod tls;

pub use api::{Api, ApiParts, ApiSettings};
pub use connection::ConnectionTimes;
pub use fast_path::{Missing, Parsed, PlainRequest};
pub use front::Front;
pub use readiness::{Latch, Readiness};
pub use server::{BindError, Server, ServerSettings};
pub use tls::{Tls, TlsError, TlsTexts};
