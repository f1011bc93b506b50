//! What the commands that work without a server have in common.

use std::io;
use std::process::ExitCode;

/// How a command went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that was asked for is done, and all that was looked at is as it should be.
    Done,
    /// Something is left that the output names: refused again, not there, waiting, damaged.
    Left,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Left => Self::FAILURE,
        }
    }
}

/// Output that is closed early, as by `head`, is no failure of ours. `output` is the error of the
/// output, where it was that.
pub(super) fn unless_closed<E>(
    done: Result<Outcome, E>,
    output: impl FnOnce(&E) -> Option<&io::Error>,
) -> Result<Outcome, E> {
    done.or_else(|error| match output(&error) {
        Some(output) if output.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::Done),
        _ => Err(error),
    })
}
