//! Room on the filesystem, asked for before PostgreSQL finds out the hard way.

use std::path::Path;

use super::EmbeddedError;

/// A new cluster takes 40 MB, its first database 8 MB, and the WAL grows at once.
pub(super) const TO_CREATE_BYTES: u64 = 256 << 20;

/// One WAL segment: recovery may need it. No more is asked for, because a full disk is emptied
/// by dropping partitions, which takes a running server.
pub(super) const TO_START_BYTES: u64 = 16 << 20;

/// Fails when the filesystem of `dir` has fewer than `needed_bytes` free.
pub(super) fn require_free(dir: &Path, needed_bytes: u64) -> Result<(), EmbeddedError> {
    let free_bytes = free_bytes(dir)?;
    if free_bytes < needed_bytes {
        return Err(EmbeddedError::DiskFull { dir: dir.to_owned(), free_bytes, needed_bytes });
    }
    Ok(())
}

/// The error for a program that `said` that the disk is full; `None` when it did not.
pub(super) fn full(dir: &Path, said: &str, needed_bytes: u64) -> Option<EmbeddedError> {
    // The programs run under LC_ALL=C, so the operating system's words are these.
    if !said.contains("No space left on device") {
        return None;
    }
    Some(match free_bytes(dir) {
        Ok(free_bytes) => EmbeddedError::DiskFull { dir: dir.to_owned(), free_bytes, needed_bytes },
        Err(error) => error,
    })
}

/// Bytes that unprivileged users may still write on the filesystem of `dir`.
fn free_bytes(dir: &Path) -> Result<u64, EmbeddedError> {
    let stat = rustix::fs::statvfs(dir)
        .map_err(|source| EmbeddedError::io("ask for the free space of", dir, source))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_space_is_one_sentence_with_path_and_bytes() {
        let dir = tempfile::tempdir().unwrap();
        require_free(dir.path(), 1).unwrap();
        let error = require_free(dir.path(), u64::MAX).unwrap_err().to_string();
        assert!(error.contains(&dir.path().display().to_string()), "{error}");
        assert!(error.contains("bytes free and 18446744073709551615 are needed"), "{error}");
    }

    #[test]
    fn a_full_disk_is_recognised_in_what_a_program_said() {
        let said = "initdb: error: could not write file \"base\": No space left on device";
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(full(dir.path(), said, 1), Some(EmbeddedError::DiskFull { .. })));
        assert!(full(dir.path(), "could not write: Input/output error", 1).is_none());
    }
}
