//! What the workers send: each kind of report is rendered once as a skeleton, and for each report
//! only the fixed-width parts that differ (the worker's identity, the values and the timestamp)
//! are written over it. So the client, which shares the machine with the server, spends its time
//! in the kernel and not on formatting.

mod catalogue;
mod content;
mod render;
mod request;
mod skeleton;
mod value;

pub(crate) use content::Content;
pub(crate) use request::{Outline, Request};

/// Bytes of the number that tells one worker from another.
const WORKER_WIDTH: usize = 6;

/// Bytes of a number in a label.
const NUMBER_WIDTH: usize = 8;
