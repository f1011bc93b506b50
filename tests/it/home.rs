//! The directory of a server, and the end of everything that runs in it.
//!
//! Statics are not dropped and a test may be ended from outside, so the end of a server is not left
//! to `Drop` alone. Beside every home runs a *keeper*, a shell that waits for its standard input to
//! close. That happens when the home is dropped and just as well when this process ends, however it
//! does. Then the keeper ends the server and its PostgreSQL, and removes their files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;

use crate::server::BINARY;

/// A process is only ended after a look whether it is still the one that was meant: the server by
/// its binary, the postmaster by its working directory, which is its cluster.
const KEEPER: &str = r#"
trap '' INT TERM
cat >/dev/null || true
home=$1 binary=$2 cluster=$1/data/postgres/data
server=$(cat "$home/server.pid" 2>/dev/null)
if [ -n "$server" ] && [ "/proc/$server/exe" -ef "$binary" ]; then kill -KILL "$server"; fi
postmaster=$(head -n 1 "$cluster/postmaster.pid" 2>/dev/null)
if [ -n "$postmaster" ] && [ "/proc/$postmaster/cwd" -ef "$cluster" ]; then
    kill -QUIT "$postmaster"
    while [ "/proc/$postmaster/cwd" -ef "$cluster" ]; do sleep 0.05; done
fi
rm -rf "$home"
"#;

/// A directory for one server after another.
pub(crate) struct Home {
    path: PathBuf,
    keeper: Child,
}

impl Home {
    pub(crate) fn new() -> Self {
        // PostgreSQL runs as another user where this process is root, and has to get in.
        let path = tempfile::Builder::new()
            .prefix("noetl-it-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .unwrap()
            .keep();
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .args([path.as_path(), Path::new(BINARY)])
            .stdin(Stdio::piped())
            .current_dir("/")
            .process_group(0)
            .spawn()
            .unwrap();
        Self { path, keeper }
    }

    /// The data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The postmaster of the embedded PostgreSQL, as its cluster names it.
    pub(crate) fn postmaster(&self) -> Option<Pid> {
        let file = self.data_dir().join("postgres/data/postmaster.pid");
        let text = fs::read_to_string(file).ok()?;
        Pid::from_raw(text.lines().next()?.parse().ok()?)
    }

    /// Writes down which server the keeper has to end.
    pub(crate) fn set_server(&self, pid: Option<u32>) {
        let text = pid.map_or_else(String::new, |pid| pid.to_string());
        fs::write(self.path.join("server.pid"), text).unwrap();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().unwrap();
    }
}
