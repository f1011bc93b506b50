//! NDJSON: many reports in one body, each a record of its own, synced together.

use super::{Ingest, IngestError, Logged};
use crate::access::Caller;
use crate::model::Reject;
use crate::protocol::answer::{self, AcceptedLines, LineReject};
use crate::protocol::ndjson::LineCursor;
use crate::protocol::report::REJECT_TEXTS_MAX;
use crate::registry::KeyDigest;

/// After so many lines other connections of the thread get their turn.
const LINES_PER_TURN: usize = 64;

/// What came of the lines so far.
#[derive(Default)]
struct Outcome {
    lines: usize,
    inserted: usize,
    lines_rejected: Vec<LineReject>,
    metrics_rejected: Vec<(u32, Reject)>,
    /// Reports in the log that are not known to be synced.
    logged: Vec<Logged>,
}

impl Ingest {
    /// Takes one report a line and returns the body of the answer once all of them are synced.
    /// With an idempotency key, every line has its share of it, so that a retry stores what the
    /// first attempt did not.
    ///
    /// # Errors
    /// When no line could be taken, and when the log or the server cannot go on; lines before
    /// that may be stored, and a retry finds them.
    pub async fn report_lines(
        &self,
        body: impl AsRef<[u8]>,
        key: Option<&[u8]>,
        caller: &Caller,
    ) -> Result<Vec<u8>, IngestError> {
        self.admit_caller(caller)?;
        let mut outcome = Outcome::default();
        let mut cursor = LineCursor::default();
        while let Some(line) = cursor.next_line(body.as_ref())? {
            outcome.lines += 1;
            if outcome.lines.is_multiple_of(LINES_PER_TURN) {
                tokio::task::yield_now().await;
            }
            let key = key.map(|key| KeyDigest::new(key, line.number));
            match self.log(&body.as_ref()[line.bytes], key, caller).await {
                Ok(logged) => outcome.take(line.number, logged),
                Err(error) if error.is_the_lines_own() => {
                    let reason = error.to_string();
                    outcome.lines_rejected.push(LineReject { line: line.number, reason });
                }
                Err(error) => return Err(error),
            }
        }
        drop(body);
        if outcome.logged.is_empty() {
            return Err(outcome.nothing_taken());
        }
        for logged in std::mem::take(&mut outcome.logged) {
            self.synced(logged).await?;
        }
        Ok(outcome.render())
    }
}

impl Outcome {
    fn take(&mut self, line: u32, mut logged: Logged) {
        self.inserted += logged.stored + logged.repeated;
        for mut reject in logged.rejects.drain(..) {
            if self.metrics_rejected.len() >= REJECT_TEXTS_MAX {
                // No answer shows it, and there may be very many.
                reject.reason = String::new();
            }
            self.metrics_rejected.push((line, reject));
        }
        self.logged.push(logged);
    }

    fn nothing_taken(&self) -> IngestError {
        let Some(first) = self.lines_rejected.first() else { return IngestError::NoLines };
        let first_reason = format!("line {}: {}", first.line, first.reason);
        let mut answer = Vec::new();
        answer::write_no_lines_taken(&mut answer, &self.lines_rejected);
        IngestError::NothingTaken { first_reason, answer }
    }

    fn render(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let accepted = AcceptedLines {
            lines: self.lines,
            metrics_inserted: self.inserted,
            durable: true,
            lines_rejected: &self.lines_rejected,
            metrics_rejected: &self.metrics_rejected,
        };
        answer::write_accepted_lines(&mut out, &accepted);
        out
    }
}
