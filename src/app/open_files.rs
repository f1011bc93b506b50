//! The limit on open files, of which every connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are not connections: the log's, those of the way to PostgreSQL, the runtime's.
const RESERVED: u64 = 256;

/// Raises the limit as far as it may be raised, and says how many of `wanted` connections it
/// allows. A server that runs out of files cannot open a segment of its log either.
pub(super) fn connections_allowed(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let files = if raised.is_ok() { maximum } else { current };
    let allowed = allowed(files, wanted);
    if allowed < wanted {
        tracing::warn!(
            allowed,
            "the limit of open files allows fewer connections than connections-max; raise it \
             (ulimit -n, or LimitNOFILE of a systemd unit)"
        );
    }
    allowed
}

/// `None` is no limit.
fn allowed(files: Option<u64>, wanted: usize) -> usize {
    let room = files.map(|files| files.saturating_sub(RESERVED).max(1));
    room.map_or(wanted, |room| wanted.min(usize::try_from(room).unwrap_or(usize::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        assert_eq!(allowed(None, 20_000), 20_000);
        assert_eq!(allowed(Some(1 << 20), 20_000), 20_000);
        assert_eq!(allowed(Some(1024), 20_000), 768);
        assert_eq!(allowed(Some(100), 20_000), 1);
    }
}
