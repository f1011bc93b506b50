//! noetl-metrics
fn main() {}
