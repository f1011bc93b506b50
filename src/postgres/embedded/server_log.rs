//! What the private server says: one file that it appends to and that is kept within a bound.
//!
//! PostgreSQL's own logging collector bounds time, not bytes: by size it rotates into new files
//! and never truncates. The file is opened for appending, so it can be cut while the server
//! writes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The size beyond which the log is cut.
const BOUND_BYTES: u64 = 16 << 20;

/// How much of the newest is kept then.
const KEPT_BYTES: u64 = 1 << 20;

/// How many lines an error message carries, from how many bytes at most.
const TAIL_LINES: usize = 12;
const TAIL_BYTES: u64 = 4096;

/// The server's log.
#[derive(Debug)]
pub(super) struct ServerLog {
    path: PathBuf,
}

impl ServerLog {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it for a server to append to.
    pub(super) fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)
    }

    /// Cuts a log that outgrew its bound down to its newest lines. What the server writes
    /// in that instant may be lost.
    pub(super) fn trim(&self) -> io::Result<()> {
        self.trim_beyond(BOUND_BYTES, KEPT_BYTES)
    }

    fn trim_beyond(&self, bound_bytes: u64, kept_bytes: u64) -> io::Result<()> {
        match self.path.metadata() {
            Ok(found) if found.len() > bound_bytes => {}
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        let kept = self.end(kept_bytes)?;
        let mut file = self.open()?;
        file.set_len(0)?;
        file.write_all(&kept)
    }

    /// Its last lines, for an error message.
    pub(super) fn tail(&self) -> String {
        match self.end(TAIL_BYTES) {
            Ok(end) => last_lines(&String::from_utf8_lossy(&end)),
            Err(error) => format!("(read {}: {error})", self.path.display()),
        }
    }

    /// Whole lines, at most `bytes` from the end.
    fn end(&self, bytes: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        let from = file.metadata()?.len().saturating_sub(bytes);
        file.seek(SeekFrom::Start(from))?;
        let mut end = Vec::new();
        file.take(bytes).read_to_end(&mut end)?;
        if from > 0 {
            let line = end.iter().position(|byte| *byte == b'\n').map_or(end.len(), |at| at + 1);
            end.drain(..line);
        }
        Ok(end)
    }
}

/// The last lines of what a program said.
pub(super) fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_cut_to_whole_lines_while_its_writer_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let log = ServerLog::new(dir.path().join("postgres.log"));
        let mut server = log.open().unwrap();
        for line in 0..100 {
            writeln!(server, "line {line:03}").unwrap();
        }
        log.trim_beyond(900, 20).unwrap();
        assert_eq!(std::fs::read_to_string(log.path()).unwrap().lines().count(), 100);
        log.trim_beyond(899, 20).unwrap();
        writeln!(server, "line 100").unwrap();
        assert_eq!(std::fs::read_to_string(log.path()).unwrap(), "line 098\nline 099\nline 100\n");
    }

    #[test]
    fn a_log_that_is_not_there_needs_no_cutting_and_says_so_in_a_tail() {
        let dir = tempfile::tempdir().unwrap();
        let log = ServerLog::new(dir.path().join("postgres.log"));
        log.trim().unwrap();
        assert!(log.tail().contains("No such file"), "{}", log.tail());
    }

    #[test]
    fn a_tail_is_the_last_lines() {
        let said: String = (0..40).map(|line| format!("{line}\n\n")).collect();
        let tail = last_lines(&said);
        assert_eq!((tail.lines().next(), tail.lines().last()), (Some("28"), Some("39")));
        assert_eq!(last_lines(""), "");
    }
}
