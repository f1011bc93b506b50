//! Hostile bytes for everything that parses, and what must hold for them.
//!
//! A target is one function of bytes that panics when something does not hold. It is called by the
//! tests of this crate, over the corpus and seeded mutations of it, and by libFuzzer, which looks for
//! bytes that nobody thought of. Each target has an oracle: another implementation, a model written
//! for clarity, or a law such as that what was decoded is encoded to the same bytes.

mod configuration;
mod decompression;
mod entries;
mod exposition_text;
mod log;
pub mod mutation;
pub mod report;
mod request;
mod runtime;
mod statsd;
mod timestamp;

/// One thing that takes hostile bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its directory in the corpus.
    pub name: &'static str,
    /// Panics when something does not hold for the bytes.
    pub run: fn(&[u8]),
    /// How many mutations the tests try, a few seconds' worth.
    pub mutations: usize,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "report", run: report::run, mutations: 20_000 },
    Target { name: "json", run: report::run_embedded, mutations: 20_000 },
    Target { name: "timestamp", run: timestamp::run, mutations: 100_000 },
    Target { name: "decompression", run: decompression::run, mutations: 4_000 },
    Target { name: "entries", run: entries::run, mutations: 100_000 },
    Target { name: "log", run: log::run, mutations: 1_000 },
    Target { name: "exposition", run: exposition_text::run, mutations: 50_000 },
    Target { name: "statsd", run: statsd::run, mutations: 100_000 },
    Target { name: "configuration", run: configuration::run, mutations: 3_000 },
    Target { name: "request", run: request::run, mutations: 50_000 },
    Target { name: "runtime", run: runtime::run, mutations: 50_000 },
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}
