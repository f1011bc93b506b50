//! The commands of the log of a stopped server: inspect, verify, set aside, accept a gap.

mod gap;
mod render;

use std::io::{self, Write};
use std::path::PathBuf;

pub use gap::GapError;

use super::command::{Outcome, unless_closed};
use crate::clock::{Clock, SystemClock};
use crate::config::{Consent, LogAction, OutputForm, Settings};
use crate::log::mend::{self, MendError, Resolve};
use crate::log::survey::survey;
use crate::log::{Access, OpenError, RealDisk};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such directory.
    #[error("open the log in {}: {source}; name the server's data directory with --data-dir", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The log cannot be looked at.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The segment cannot be set aside.
    #[error(transparent)]
    Mend(#[from] MendError),
    /// The log and the database cannot be made to fit.
    #[error(transparent)]
    Gap(#[from] GapError),
    /// The output cannot be written.
    #[error("write the output: {0}")]
    Output(#[from] io::Error),
}

/// Does what `action` says with the log of `settings` and prints to `out`.
pub async fn run(
    settings: &Settings,
    action: LogAction,
    out: &mut impl Write,
) -> Result<Outcome, CommandError> {
    let done = match action {
        LogAction::Inspect(form) => inspect(&open(settings, Access::Read)?, form, out),
        LogAction::Verify(form) => verify(&open(settings, Access::Read)?, form, out),
        LogAction::AcceptGap(consent) => gap::run(settings, consent, out).await,
        LogAction::SetAside { segment, consent } => {
            set_aside(&open(settings, Access::Write)?, segment, consent, out)
        }
    };
    unless_closed(done, |error| match error {
        CommandError::Output(error) => Some(error),
        _ => None,
    })
}

fn open(settings: &Settings, access: Access) -> Result<RealDisk, CommandError> {
    let path = settings.data_dir.join("log");
    RealDisk::existing(&path, access).map_err(|source| CommandError::Directory { path, source })
}

fn inspect(
    disk: &RealDisk,
    form: OutputForm,
    out: &mut impl Write,
) -> Result<Outcome, CommandError> {
    let survey = survey(disk, &mut |_| {})?;
    match form {
        OutputForm::Text => render::table(&survey, out)?,
        OutputForm::Json => render::objects(&survey, out)?,
    }
    Ok(Outcome::Done)
}

fn verify(
    disk: &RealDisk,
    form: OutputForm,
    out: &mut impl Write,
) -> Result<Outcome, CommandError> {
    let mut written = Ok(());
    let survey = survey(disk, &mut |finding| {
        if written.is_ok() {
            written = render::finding(&finding, form, out);
        }
    })?;
    written?;
    render::verdict(&survey, form, out)?;
    Ok(if survey.findings == 0 { Outcome::Done } else { Outcome::Left })
}

fn set_aside(
    disk: &RealDisk,
    segment: u64,
    consent: Consent,
    out: &mut impl Write,
) -> Result<Outcome, CommandError> {
    let resolve = match consent {
        Consent::Given => Resolve::Perform,
        Consent::Asked => Resolve::Propose,
    };
    let mended = mend::set_aside(disk, segment, resolve, SystemClock.now())?;
    render::mended(segment, &mended, resolve, out)?;
    Ok(Outcome::Done)
}
