//! `*.prom` files of a directory, as jobs leave them behind.
//!
//! A file is taken whole or not at all, and one that is not of the format is told by a metric of its
//! own. Write it under another name and rename it, so that it is never half there.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::host::push;
use crate::exposition;
use crate::snapshot::Snapshot;
use crate::vocabulary::MetricType::Gauge;

/// Files of the directory that are read.
const FILES_MAX: usize = 1000;
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Adds what all files say.
pub(super) fn write_to(directory: &Path, snapshot: &mut Snapshot) {
    let listed = list(directory);
    let failed = match &listed {
        Ok(_) => 0.0,
        Err(_) => 1.0,
    };
    let help = "1 where the directory of text files cannot be read, or has more than 1000";
    push(snapshot, &[], ("noetl_textfile_directory_error", Gauge, failed, "", help));
    for path in listed.unwrap_or_default() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let labels = [("file", name.as_str())];
        let read = read(&path);
        let failed = match &read {
            Ok((text, _)) => match exposition::parse(text, |_| {}) {
                Ok(()) => 0.0,
                Err(error) => {
                    tracing::debug!(file = %path.display(), %error, "a text file is left out");
                    1.0
                }
            },
            Err(error) => {
                tracing::debug!(file = %path.display(), %error, "a text file is left out");
                1.0
            }
        };
        let help = "1 where the file cannot be read or is not of the text format";
        push(snapshot, &labels, ("noetl_textfile_error", Gauge, failed, "", help));
        let Ok((text, modified_s)) = read else { continue };
        let help = "When the file was last written, since the Unix epoch";
        let mtime = ("noetl_textfile_mtime_seconds", Gauge, modified_s, "seconds", help);
        push(snapshot, &labels, mtime);
        if failed == 0.0 {
            // It was looked at as a whole before.
            drop(exposition::parse(&text, |one| one.with_sample(|sample| snapshot.push(sample))));
        }
    }
}

fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "prom") {
            if files.len() == FILES_MAX {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The text, and when it was written.
fn read(path: &Path) -> io::Result<(String, f64)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    // A pipe would be waited for.
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let modified = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH);
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok((text, modified.unwrap_or_default().as_secs_f64()))
}
