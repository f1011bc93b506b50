//! What is missing between a log and a database, in words that somebody can decide by.

use std::io::{self, Write};

use super::Plan;
use crate::model::LogPosition;

/// Says what there is, what is missing, and what going on means. The log has the positions from
/// `first` to `end`.
pub(super) fn plan(
    plan: &Plan,
    first: LogPosition,
    end: LogPosition,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "log: positions {first} to {end}")?;
    match *plan {
        Plan::Fits { stored } => writeln!(
            out,
            "PostgreSQL: everything below position {stored}. They fit, there is nothing to do: {} rows \
             are in the log and not yet in PostgreSQL, and the server brings them there",
            end.get() - stored.position.get()
        ),
        Plan::Skip { stored, to } => {
            writeln!(out, "PostgreSQL: everything below position {stored}")?;
            missing(stored.position, to.position, out)?;
            writeln!(out, "A later backup of the database may have them; going on gives them up.")
        }
        Plan::Extend { stored } => writeln!(
            out,
            "PostgreSQL: everything below position {stored}, {} rows beyond the end of the log. Those \
             are in PostgreSQL; what the log had taken behind them is lost. Going on, the log skips \
             their positions. Make sure that no other copy of this log runs.",
            stored.position.get() - end.get()
        ),
        Plan::Register { at, stored } => {
            writeln!(
                out,
                "PostgreSQL: no row of this log in noetl.ingest_node; reports of its node up to position \
                 {stored}"
            )?;
            if first > stored {
                missing(stored, first, out)?;
            }
            writeln!(
                out,
                "Going on, the log is registered again at position {}. This database has nothing of it \
                 behind that, so nothing can come twice.",
                at.position
            )
        }
    }
}

fn missing(from: LogPosition, to: LogPosition, out: &mut impl Write) -> io::Result<()> {
    let rows = to.get() - from.get();
    writeln!(
        out,
        "missing: {rows} rows, positions {from} to {to}: the database does not have them, and the log no \
         longer does. Series that were defined in them are defined anew when they report; what the log \
         has of those until now will stand in noetl.report and in no view."
    )
}
