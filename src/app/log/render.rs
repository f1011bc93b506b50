//! What a log holds, as lines for people and for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::config::OutputForm;
use crate::log::mend::{LostPositions, Mended, Resolve};
use crate::log::survey::{Finding, SegmentSurvey, Survey, Trouble};

/// The log as a table.
pub(super) fn table(survey: &Survey, out: &mut impl Write) -> io::Result<()> {
    match &survey.identity {
        Some(identity) => {
            let node = identity.node().map_or("none yet".to_owned(), |node| node.get().to_string());
            writeln!(out, "log {}, node {node}", identity.log_id())?;
        }
        None => writeln!(out, "the file identity is missing or damaged")?,
    }
    writeln!(
        out,
        "{:>16}  {:8}  {:>13}  {:>13}  {:>9}  {:>9}  {:>11}  {:16}  remarks",
        "segment", "state", "first", "end", "records", "rows", "bytes", "identity"
    )?;
    for one in &survey.segments {
        let SegmentSurvey { number, first, end, records, rows, used_bytes, .. } = one;
        let state = state(one);
        let identity = one.identity.map_or(String::new(), |identity| format!("{identity:016x}"));
        writeln!(
            out,
            "{number:>16}  {state:8}  {first:>13}  {end:>13}  {records:>9}  {rows:>9}  \
             {used_bytes:>11}  {identity:16}  {}",
            remarks(one)
        )?;
    }
    for one in &survey.keys {
        writeln!(out, "keys of segment {}: {} in {} bytes", one.number, one.keys, one.bytes)?;
    }
    for one in &survey.spares {
        writeln!(out, "spare {}: {} bytes", one.name, one.bytes)?;
    }
    for one in &survey.set_aside {
        writeln!(out, "set aside {}: {} bytes", one.name, one.bytes)?;
    }
    if survey.findings > 0 {
        writeln!(out, "{} findings; see `noetl-metrics log verify`", survey.findings)?;
    }
    Ok(())
}

/// The log as objects, one a line.
pub(super) fn objects(survey: &Survey, out: &mut impl Write) -> io::Result<()> {
    let identity = survey.identity.as_ref();
    let log = json!({"entry": "log", "log_id": identity.map(|one| one.log_id().to_string()),
                     "node": identity.and_then(|one| one.node()).map(|node| node.get()),
                     "findings": survey.findings});
    writeln!(out, "{log}")?;
    for one in &survey.segments {
        writeln!(out, "{}", segment_object(one))?;
    }
    for one in &survey.keys {
        let object =
            json!({"entry": "keys", "segment": one.number, "keys": one.keys, "bytes": one.bytes});
        writeln!(out, "{object}")?;
    }
    let files = [("spare", &survey.spares), ("set_aside", &survey.set_aside)];
    for (entry, files) in files {
        for one in files {
            let object = json!({"entry": entry, "name": one.name, "bytes": one.bytes});
            writeln!(out, "{object}")?;
        }
    }
    Ok(())
}

fn segment_object(one: &SegmentSurvey) -> Value {
    json!({"entry": "segment", "segment": one.number, "state": state(one),
           "first": one.first.get(), "end": one.end.get(), "records": one.records,
           "rows": one.rows, "bytes": one.bytes, "used_bytes": one.used_bytes,
           "identity": one.identity.map(|identity| format!("{identity:016x}")),
           "given_up": one.given_up, "lost": one.lost, "torn_tail": one.torn_tail})
}

fn state(one: &SegmentSurvey) -> &'static str {
    if one.active { "active" } else { "complete" }
}

fn remarks(one: &SegmentSurvey) -> String {
    let mut remarks = Vec::new();
    if one.lost > 0 {
        remarks.push(format!("{} positions damaged", one.lost));
    }
    if one.given_up > 0 {
        remarks.push(format!("{} positions given up earlier", one.given_up));
    }
    if one.torn_tail {
        remarks.push("torn tail: never acknowledged, the next start cuts it off".to_owned());
    }
    remarks.join("; ")
}

/// One thing that should not be so.
pub(super) fn finding(finding: &Finding, form: OutputForm, out: &mut impl Write) -> io::Result<()> {
    let Finding { file, offset, trouble } = finding;
    match form {
        OutputForm::Text => {
            let at = offset.map_or(String::new(), |offset| format!(" at byte {offset}"));
            writeln!(out, "{file}{at}: {trouble}")
        }
        OutputForm::Json => {
            let lost = match trouble {
                Trouble::Lost(lost) => json!({"from": lost.from.get(), "to": lost.to.get(),
                                              "reports_min": lost.records_min}),
                _ => Value::Null,
            };
            let object = json!({"entry": "finding", "file": file, "offset": offset,
                                "kind": kind(trouble), "reason": trouble.to_string(),
                                "lost": lost});
            writeln!(out, "{object}")
        }
    }
}

fn kind(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Io(_) => "disk_error",
        Trouble::Entry { .. } => "unknown_entry",
        Trouble::Missing(_) => "missing",
        Trouble::Lost(_)
        | Trouble::Header(_)
        | Trouble::Foreign
        | Trouble::Keys(_)
        | Trouble::Identity => "damage",
    }
}

/// What it comes to.
pub(super) fn verdict(survey: &Survey, form: OutputForm, out: &mut impl Write) -> io::Result<()> {
    let records: u64 = survey.segments.iter().map(|one| one.records).sum();
    let rows: u64 = survey.segments.iter().map(|one| one.rows).sum();
    let lost: u64 = survey.segments.iter().map(|one| one.lost).sum();
    let torn_tail = survey.segments.last().is_some_and(|last| last.torn_tail);
    if form == OutputForm::Json {
        let object = json!({"entry": "verdict", "sound": survey.findings == 0, "records": records,
                            "rows": rows, "lost": lost, "findings": survey.findings,
                            "torn_tail": torn_tail});
        return writeln!(out, "{object}");
    }
    if torn_tail {
        writeln!(
            out,
            "the end is torn, as a crash leaves it: nothing in it was acknowledged, and the next \
             start cuts it off"
        )?;
    }
    match survey.findings {
        0 => writeln!(out, "sound: {records} reports with {rows} rows"),
        count => writeln!(
            out,
            "not sound: {count} findings; {records} reports with {rows} rows are readable, {lost} \
             rows are not. See what going on without them gives up with `noetl-metrics log \
             set-aside SEGMENT`"
        ),
    }
}

/// What was done for a segment, or would be.
pub(super) fn mended(
    segment: u64,
    mended: &Mended,
    resolve: Resolve,
    out: &mut impl Write,
) -> io::Result<()> {
    let Mended { records_kept, rows_kept, places, records_lost_min, .. } = mended;
    if *places == 0 {
        return writeln!(
            out,
            "segment {segment} is not damaged: {records_kept} reports with {rows_kept} rows; \
             nothing to do"
        );
    }
    writeln!(out, "readable: {records_kept} reports with {rows_kept} rows; they are kept")?;
    match mended.lost {
        Some(LostPositions { from, to, count }) => writeln!(
            out,
            "lost: {count} rows in at least {records_lost_min} reports, in {places} places, between \
             positions {from} and {to}"
        )?,
        None if mended.end_unknown => writeln!(
            out,
            "lost: all that the newest segment held; how much that was, the log does not know"
        )?,
        None => writeln!(out, "lost: nothing that the segments beside it do not have")?,
    }
    writeln!(
        out,
        "What is lost and was not yet in PostgreSQL will never be there. So are series that were \
         defined in it: later values of those stand in noetl.report and in no view."
    )?;
    match (resolve, &mended.kept_as) {
        (Resolve::Propose, _) => writeln!(
            out,
            "Nothing was changed. To go on without what is lost: noetl-metrics log set-aside \
             {segment} --yes"
        ),
        (Resolve::Perform, Some(name)) => {
            writeln!(out, "Done; the segment as it was is kept as {name}. Start the server.")
        }
        (Resolve::Perform, None) => writeln!(out, "Done. Start the server."),
    }
}
