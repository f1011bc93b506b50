//! Reports on the disk, a file each, so that they survive the end of the worker.
//!
//! A file is written under another name and renamed when it is whole; a half-written one has no
//! name that counts. Its checksum tells what a failing machine left behind. Nothing is synced:
//! what is promised is to survive the worker, not the machine. Format: `docs/format/spool.md`.

mod file;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use file::{decode, encode};

use crate::transport::Report;

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another worker has it.
    #[error("the spool {} is another worker's; give each worker a NOETL_WORKER_SPOOL_DIR of its own", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("use the spool's {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

/// Why a report cannot be read back.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("the file is gone or cannot be read")]
    Gone,
    #[error("the file is no report, or not all of it")]
    Cut,
    #[error("the file is of another version")]
    Version,
    #[error("the checksum does not match")]
    Checksum,
}

/// A directory of reports.
#[derive(Debug)]
pub(crate) struct Spool {
    directory: PathBuf,
    bytes_max: u64,
    /// Number and size of each report that was there, in the order of their numbers.
    found: Vec<(u64, u64)>,
    damaged: u64,
    /// Above the numbers of all reports that were there, also of those that were left alone.
    first_free: u64,
    /// Held as long as the spool is.
    _lock: File,
}

impl Spool {
    /// Opens the directory, makes it where it is missing, and looks at what is there. What is no
    /// whole report is removed and counted; what another version wrote waits for that version.
    pub(crate) fn open(directory: &Path, bytes_max: u64) -> Result<Self, SpoolError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SpoolError::Io { path, source }
        };
        fs::create_dir_all(directory).map_err(failed(directory))?;
        let lock_path = directory.join("lock");
        let lock = File::create(&lock_path).map_err(failed(&lock_path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => SpoolError::InUse { path: directory.to_owned() },
            TryLockError::Error(source) => failed(&lock_path)(source),
        })?;
        let directory = directory.to_owned();
        let mut spool = Self {
            directory,
            bytes_max,
            found: Vec::new(),
            damaged: 0,
            first_free: 0,
            _lock: lock,
        };
        for entry in fs::read_dir(&spool.directory).map_err(failed(&spool.directory))? {
            let path = entry.map_err(failed(&spool.directory))?.path();
            match number_of(&path) {
                Some(Name::Report(number)) => match spool.read(number) {
                    Ok(_) => {
                        let bytes = fs::metadata(&path).map_err(failed(&path))?.len();
                        spool.found.push((number, bytes));
                        spool.keep_free_of(number);
                    }
                    Err(damage @ Damage::Version) => {
                        tracing::warn!(file = %path.display(), %damage, "a spooled report waits");
                        spool.keep_free_of(number);
                    }
                    Err(damage) => {
                        tracing::warn!(file = %path.display(), %damage, "a spooled report is lost");
                        spool.damaged += 1;
                        spool.remove(number);
                    }
                },
                // It was never whole, so nobody counted on it.
                Some(Name::Draft) => fs::remove_file(&path).map_err(failed(&path))?,
                None => {}
            }
        }
        spool.found.sort_unstable();
        Ok(spool)
    }

    /// The reports that were there when it was opened.
    pub(crate) fn found(&self) -> &[(u64, u64)] {
        &self.found
    }

    /// How many reports could not be read when it was opened.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// The number from which on no report was there when it was opened.
    pub(crate) fn first_free(&self) -> u64 {
        self.first_free
    }

    fn keep_free_of(&mut self, number: u64) {
        self.first_free = self.first_free.max(number.saturating_add(1));
    }

    /// The bound on all reports.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Writes a report and says how many bytes it takes.
    pub(crate) fn write(&mut self, number: u64, report: &Report) -> Result<u64, SpoolError> {
        let (path, draft) =
            (self.path(number), self.directory.join(format!("{number:016x}.draft")));
        let bytes = encode(report);
        let failed = |source| SpoolError::Io { path: path.clone(), source };
        let written = fs::write(&draft, &bytes).and_then(|()| fs::rename(&draft, &path));
        if let Err(error) = written {
            // On a full disk a part of it may be there; the next start removes it otherwise.
            drop(fs::remove_file(&draft));
            return Err(failed(error));
        }
        Ok(bytes.len() as u64)
    }

    /// Reads a report back.
    pub(crate) fn read(&self, number: u64) -> Result<Report, Damage> {
        decode(&fs::read(self.path(number)).map_err(|_| Damage::Gone)?)
    }

    /// Removes a report. Where that fails, it is delivered once more after the next start, under
    /// the same key.
    pub(crate) fn remove(&self, number: u64) {
        let path = self.path(number);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %path.display(), %error, "a spooled report stays");
            }
            _ => {}
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:016x}.report"))
    }
}

/// What a file's name says.
enum Name {
    Report(u64),
    Draft,
}

fn number_of(path: &Path) -> Option<Name> {
    let number = path.file_stem()?.to_str().filter(|stem| stem.len() == 16)?;
    let number = u64::from_str_radix(number, 16).ok()?;
    match path.extension()?.to_str()? {
        "report" => Some(Name::Report(number)),
        "draft" => Some(Name::Draft),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
