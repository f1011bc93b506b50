//! The command `push`: reports once, and says by its status whether it is durable.

use std::io::{self, Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use noetl_metrics_client::exposition::{self, NotExposition};
use noetl_metrics_client::push::{PushError, push};
use noetl_metrics_client::snapshot::{Reporting, Sample, Snapshot};

use super::command::Outcome;
use crate::config::PushRequest;

/// Bytes of a text that are read.
const TEXT_BYTES_MAX: u64 = 64 << 20;
/// Samples of a push.
const SAMPLES_MAX: usize = 1_000_000;

/// Why nothing, or not all of it, is durable.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Standard input cannot be read.
    #[error("read standard input: {0}")]
    Input(io::Error),
    /// It is too long.
    #[error("standard input has more than {TEXT_BYTES_MAX} bytes; push it in parts")]
    TooLong,
    /// It is not of the text format of Prometheus.
    #[error("standard input, {0}; nothing was sent")]
    NotExposition(#[from] NotExposition),
    /// There is nothing to report.
    #[error("there are no metrics on standard input; nothing was sent")]
    Nothing,
    /// A metric stands twice, or has a name, a label or a unit that no server takes.
    #[error(
        "{0} metrics stand twice or have an empty or too long name, label or unit; nothing was sent"
    )]
    Unsound(u64),
    /// It was not delivered.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The output cannot be written; what was asked for is done.
    #[error("write the output: {0}")]
    Output(#[from] io::Error),
}

/// Delivers what the command line says, or what `input` does, and prints to `out`.
pub async fn run(
    request: &PushRequest,
    input: &mut impl Read,
    out: &mut impl Write,
) -> Result<Outcome, CommandError> {
    let snapshot = snapshot(request, input)?;
    let pushed = push(&request.client, snapshot, request.retry_for).await?;
    let name = request.client.component_name();
    let mut said = writeln!(out, "reported {} metrics as {name}", pushed.samples);
    let rejects = &pushed.rejects;
    let mut outcome = Outcome::Done;
    if rejects.count > 0 {
        outcome = Outcome::Left;
        said = said.and_then(|()| {
            writeln!(out, "{} were rejected, the first because {}", rejects.count, rejects.reason)
        });
    }
    match said {
        // Output that is closed early, as by `head`, says nothing about the delivery.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(outcome),
    }
}

fn snapshot(request: &PushRequest, input: &mut impl Read) -> Result<Snapshot, CommandError> {
    let reporting = Reporting {
        component_name: request.client.component_name(),
        component_type: request.component_type.clone(),
        labels: request.labels.clone(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_us = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    let mut snapshot = Snapshot::new(&reporting, now_us, SAMPLES_MAX);
    if request.values.is_empty() {
        let mut text = String::new();
        let read = input.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text);
        if read.map_err(CommandError::Input)? as u64 > TEXT_BYTES_MAX {
            return Err(CommandError::TooLong);
        }
        let mut samples = 0;
        exposition::parse(&text, |one| {
            samples += 1;
            one.with_sample(|sample| snapshot.push(sample));
        })?;
        if samples == 0 {
            return Err(CommandError::Nothing);
        }
    }
    for (name, value) in &request.values {
        let sample = Sample::new(name, request.metric_type, *value);
        snapshot.push(&Sample { unit: &request.unit, ..sample });
    }
    match snapshot.refused() {
        0 => Ok(snapshot),
        refused => Err(CommandError::Unsound(refused)),
    }
}
