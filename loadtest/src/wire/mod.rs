//! A minimal HTTP/1.1 client: one request at a time on a connection that stays open. It refuses
//! what the servers under test have no reason to send, such as chunked answers to a report.

mod connection;
mod response;
mod target;

pub(crate) use connection::{Connection, get};
pub(crate) use response::Head;
pub(crate) use target::Target;
