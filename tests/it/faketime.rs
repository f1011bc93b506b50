//! A clock that a test moves, for processes as they are: libfaketime stands between them and the
//! system's clock.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

/// A clock that runs as the system's does, at an offset. Only the time of day is moved, never
/// the monotonic clock.
pub(crate) struct FakeClock {
    directory: TempDir,
    offset_s: i64,
}

impl FakeClock {
    pub(crate) fn new() -> Self {
        // PostgreSQL runs as another user where this process is root, and has to read it.
        let directory = tempfile::Builder::new()
            .prefix("noetl-clock-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        fs::copy(library(), directory.path().join("libfaketime.so")).unwrap();
        let mut clock = Self { directory, offset_s: 0 };
        clock.set_offset(0);
        clock
    }

    /// What has a process go by this clock.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |name| self.directory.path().join(name).to_str().unwrap().to_owned();
        vec![
            ("LD_PRELOAD", path("libfaketime.so")),
            ("FAKETIME_TIMESTAMP_FILE", path("offset")),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// What it shows, in seconds since the Unix epoch.
    pub(crate) fn now_s(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(now.as_secs()).unwrap() + self.offset_s
    }

    /// Has it show that time now, and go on from there.
    pub(crate) fn set_s(&mut self, shown_s: i64) {
        self.set_offset(self.offset_s + shown_s - self.now_s());
    }

    fn set_offset(&mut self, offset_s: i64) {
        let (new, file) = (self.directory.path().join("new"), self.directory.path().join("offset"));
        fs::write(&new, format!("{offset_s:+}\n")).unwrap();
        // At once: a process may read it at any moment.
        fs::rename(new, file).unwrap();
        self.offset_s = offset_s;
    }
}

/// The library for programs with threads: as `make test` unpacks it, or as Debian installs it.
fn library() -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("tools");
    [tools.join("usr/lib"), PathBuf::from("/usr/lib")]
        .iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flatten()
        .map(|entry| entry.unwrap().path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())
        .expect("the tests need libfaketime; `make test` unpacks it")
}

impl Drop for FakeClock {
    /// The library keeps a semaphore and a page of memory for each tree of processes, and a process
    /// that is killed leaves them behind.
    fn drop(&mut self) {
        for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            let pid = ["faketime_shm_", "sem.faketime_sem_"]
                .iter()
                .find_map(|prefix| name.strip_prefix(prefix)?.parse::<u32>().ok());
            if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }
}
