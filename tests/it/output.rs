//! Waiting: for what a process says, and for what it does.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take. Far more than it does, for the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Tries `check` until it has a value.
///
/// # Panics
/// When that takes longer than [`PATIENCE`].
pub(crate) fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} did not come within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The lines that a process says, read while it runs so that it never waits for its reader.
pub(crate) struct Output(Arc<Shared>);

#[derive(Default)]
struct Shared {
    said: Mutex<Said>,
    changed: Condvar,
}

#[derive(Default)]
struct Said {
    lines: Vec<String>,
    closed: bool,
}

impl Output {
    /// Reads `stream` to its end.
    pub(crate) fn of(stream: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let output = Self(Arc::clone(&shared));
        thread::spawn(move || {
            // A line that cannot be read ends the output as its end does.
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                shared.said.lock().unwrap().lines.push(line);
                shared.changed.notify_all();
            }
            shared.said.lock().unwrap().closed = true;
            shared.changed.notify_all();
        });
        output
    }

    /// What `find` makes of the first line that it makes something of, past or to come.
    pub(crate) fn wait_for<T>(&self, what: &str, mut find: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.0.said.lock().unwrap();
        let mut looked_at = 0;
        loop {
            while let Some(line) = said.lines.get(looked_at) {
                if let Some(found) = find(line) {
                    return found;
                }
                looked_at += 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!said.closed && !left.is_zero(), "no {what} in:\n{}", said.lines.join("\n"));
            said = self.0.changed.wait_timeout(said, left).unwrap().0;
        }
    }

    /// Waits for a line that contains `text`.
    pub(crate) fn wait_for_text(&self, text: &str) {
        self.wait_for(text, |line| line.contains(text).then_some(()));
    }

    /// All lines up to now.
    pub(crate) fn so_far(&self) -> String {
        self.0.said.lock().unwrap().lines.join("\n")
    }

    /// All lines, once the process has closed its end.
    pub(crate) fn to_the_end(&self) -> String {
        let said = self.0.said.lock().unwrap();
        let (said, timeout) =
            self.0.changed.wait_timeout_while(said, PATIENCE, |said| !said.closed).unwrap();
        assert!(!timeout.timed_out(), "the output does not end:\n{}", said.lines.join("\n"));
        said.lines.join("\n")
    }
}
