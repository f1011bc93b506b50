//! The commands of the partitions: list, create, maintain.

use std::io::{self, Write};
use std::sync::Arc;

use super::command::{Outcome, unless_closed};
use super::start::maintenance_settings;
use crate::clock::SystemClock;
use crate::config::{OutputForm, PartitionsAction, Settings};
use crate::jobs::{Cleanup, Created, Maintenance, MaintenanceError, partition_to_json};
use crate::postgres::connect::{self, InvalidDatabaseUrl};
use crate::postgres::partitions::PartitionInfo;
use crate::postgres::schema::{self, SchemaError};
use crate::registry::PartitionWindow;
use crate::telemetry::Telemetry;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The database's URL is none.
    #[error(transparent)]
    Url(#[from] InvalidDatabaseUrl),
    /// The database has another schema, or does not answer.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Something could not be done.
    #[error(transparent)]
    Maintenance(#[from] MaintenanceError),
    /// The output cannot be written.
    #[error("write the output: {0}")]
    Output(#[from] io::Error),
}

/// Does what `action` says with the database of `url` and prints to `out`.
pub async fn run(
    url: &str,
    settings: &Settings,
    action: PartitionsAction,
    out: &mut impl Write,
) -> Result<Outcome, CommandError> {
    let options = connect::parse(url)?;
    // It may be the first that anybody does with this database.
    schema::migrate(&options).await?;
    let wanted = maintenance_settings(settings);
    // Nobody is admitted here, so nothing has to be bounded.
    let window = Arc::new(PartitionWindow::new(wanted.interval, usize::MAX));
    let (clock, telemetry) = (Arc::new(SystemClock), Arc::new(Telemetry::new()));
    let maintenance = Maintenance::new(options, wanted, window, clock, telemetry);
    let done = act(&maintenance, action, out).await;
    unless_closed(done, |error| match error {
        CommandError::Output(error) => Some(error),
        _ => None,
    })
}

async fn act(
    maintenance: &Maintenance,
    action: PartitionsAction,
    out: &mut impl Write,
) -> Result<Outcome, CommandError> {
    match action {
        PartitionsAction::List(form) => list(&maintenance.list().await?, form, out)?,
        PartitionsAction::Create { days_ahead } => {
            write_created(&maintenance.create(days_ahead).await?, out)?;
        }
        PartitionsAction::Maintain => {
            let maintained = maintenance.maintain().await?;
            if !maintained.cleanup.elsewhere {
                write_created(&maintained.created, out)?;
            }
            write_cleanup(&maintained.cleanup, out)?;
            if !maintained.cleanup.waiting.is_empty() {
                return Ok(Outcome::Left);
            }
        }
    }
    Ok(Outcome::Done)
}

fn list(partitions: &[PartitionInfo], form: OutputForm, out: &mut impl Write) -> io::Result<()> {
    if form == OutputForm::Text {
        let heading = ("name", "from", "to", "rows", "bytes");
        let (name, from, to, rows, bytes) = heading;
        writeln!(out, "{name:28}  {from:20}  {to:20}  {rows:>12}  {bytes:>14}  state")?;
    }
    for info in partitions {
        match form {
            OutputForm::Json => writeln!(out, "{}", partition_to_json(info))?,
            OutputForm::Text => {
                let (from, to) = info.partition.bounds();
                let (name, rows, bytes) = (&info.partition.name, info.rows_estimated, info.bytes);
                let state = info.state.as_str();
                writeln!(out, "{name:28}  {from:20}  {to:20}  {rows:>12}  {bytes:>14}  {state}")?;
            }
        }
    }
    Ok(())
}

fn write_created(created: &Created, out: &mut impl Write) -> io::Result<()> {
    for name in &created.partitions {
        writeln!(out, "created {name}")?;
    }
    writeln!(out, "{}", created.message())
}

fn write_cleanup(cleanup: &Cleanup, out: &mut impl Write) -> io::Result<()> {
    for name in &cleanup.dropped {
        writeln!(out, "dropped {name}")?;
    }
    writeln!(out, "{}", cleanup.message())
}
