//! What the workers send: a request is rendered once per connection as a template, and for each
//! report only the fixed-width parts that differ (the worker's identity, the values and the
//! timestamp) are written over it. So the client, which shares the machine with the server,
//! spends its time in the kernel and not on formatting.

mod catalogue;
mod template;
mod value;

pub(crate) use catalogue::catalogue;
pub(crate) use template::Template;
pub(crate) use value::report_eighths;

/// Bytes of the number that tells one worker from another.
const WORKER_WIDTH: usize = 6;
