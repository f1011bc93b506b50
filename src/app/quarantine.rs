//! The commands of the quarantine: list, show, replay.

mod render;

use std::io::{self, Write};

use render::{Lines, write_listed};

use super::command::{Outcome, unless_closed};
use crate::config::{OutputForm, QuarantineAction};
use crate::flush::quarantine::{Quarantine, QuarantineError, Replayed};
use crate::model::PartitionInterval;
use crate::postgres::connect::{self, InvalidDatabaseUrl};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The database's URL is none.
    #[error(transparent)]
    Url(#[from] InvalidDatabaseUrl),
    /// The quarantine cannot be worked on.
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
    /// The output cannot be written.
    #[error("write the output: {0}")]
    Output(#[from] io::Error),
}

/// Does what `action` says with the database of `url` and prints to `out`.
pub async fn run(
    url: &str,
    interval: PartitionInterval,
    action: QuarantineAction,
    out: &mut impl Write,
) -> Result<Outcome, CommandError> {
    let mut quarantine = Quarantine::open(connect::parse(url)?, interval).await?;
    let done = match action {
        QuarantineAction::List(form) => list(&mut quarantine, form, out).await,
        QuarantineAction::Show(id, form) => show(&mut quarantine, id, form, out).await,
        QuarantineAction::Replay(id) => replay(&mut quarantine, id, out).await,
        QuarantineAction::ReplayAll => replay_all(&mut quarantine, out).await,
    };
    unless_closed(done, |error| match error {
        CommandError::Output(error) => Some(error),
        _ => None,
    })
}

async fn list(
    quarantine: &mut Quarantine,
    form: OutputForm,
    out: &mut impl Write,
) -> Result<Outcome, CommandError> {
    let mut after = 0;
    if form == OutputForm::Text {
        render::write_heading(out)?;
    }
    loop {
        let page = quarantine.page(after).await?;
        let Some(last) = page.last() else { return Ok(Outcome::Done) };
        after = last.quarantine_id;
        for listed in &page {
            write_listed(listed, form, out)?;
        }
    }
}

async fn show(
    quarantine: &mut Quarantine,
    id: i64,
    form: OutputForm,
    out: &mut impl Write,
) -> Result<Outcome, CommandError> {
    let Some(record) = quarantine.get(id).await? else {
        writeln!(out, "{}", absent(id))?;
        return Ok(Outcome::Left);
    };
    Lines { form, out }.record(&record)?;
    Ok(Outcome::Done)
}

async fn replay(
    quarantine: &mut Quarantine,
    id: i64,
    out: &mut impl Write,
) -> Result<Outcome, CommandError> {
    let (outcome, line) = match quarantine.replay(id).await? {
        Replayed::Stored { rows, samples } => {
            (Outcome::Done, format!("{id}: stored, {samples} samples in {rows} rows"))
        }
        Replayed::Refused(reason) => (Outcome::Left, format!("{id}: refused again: {reason}")),
        Replayed::Absent => (Outcome::Left, absent(id)),
    };
    writeln!(out, "{line}")?;
    Ok(outcome)
}

/// Also those that others store meanwhile: a record that is gone was stored.
async fn replay_all(
    quarantine: &mut Quarantine,
    out: &mut impl Write,
) -> Result<Outcome, CommandError> {
    let mut after = 0;
    let mut left = 0_u64;
    loop {
        let page = quarantine.page(after).await?;
        let Some(last) = page.last() else { break };
        after = last.quarantine_id;
        for listed in &page {
            if replay(quarantine, listed.quarantine_id, out).await? == Outcome::Left
                && quarantine.get(listed.quarantine_id).await?.is_some()
            {
                left += 1;
            }
        }
    }
    if after == 0 {
        writeln!(out, "nothing is in the quarantine")?;
    }
    Ok(if left == 0 { Outcome::Done } else { Outcome::Left })
}

fn absent(id: i64) -> String {
    format!("{id}: there is no such record: it was stored before, or deleted")
}
