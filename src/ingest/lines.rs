//! NDJSON: many reports in one body, each a record of its own, synced together.

use super::{Ingest, IngestError, Logged};
use crate::model::Reject;
use crate::protocol::answer::{self, AcceptedLines, LineReject};
use crate::protocol::ndjson::LineCursor;
use crate::registry::KeyDigest;

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
        body: &[u8],
        key: Option<&[u8]>,
    ) -> Result<Vec<u8>, IngestError> {
        let mut outcome = Outcome::default();
        let mut first_error = None;
        let mut cursor = LineCursor::default();
        while let Some(line) = cursor.next_line(body)? {
            outcome.lines += 1;
            let key = key.map(|key| KeyDigest::new(key, line.number));
            match self.log(&body[line.bytes], key).await {
                Ok(logged) => outcome.take(line.number, logged),
                Err(error) if error.is_the_lines_own() => {
                    let reason = error.to_string();
                    outcome.lines_rejected.push(LineReject { line: line.number, reason });
                    first_error.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        if outcome.logged.is_empty() {
            return Err(first_error.unwrap_or(IngestError::NoLines));
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
        self.metrics_rejected.extend(logged.rejects.drain(..).map(|reject| (line, reject)));
        self.logged.push(logged);
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
