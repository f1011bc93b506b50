//! A report with gaps, and what is written into them.

use crate::payload::catalogue::Numbering;
use crate::payload::content::Content;
use crate::payload::value::{EIGHTHS_PER_UNIT, ValueKind};
use crate::payload::{NUMBER_WIDTH, WORKER_WIDTH};
use crate::plan::{COMPONENT_NAME_WIDTH, Plan};
use crate::timestamp::{
    ISO_WIDTH, MILLIS_WIDTH, VARINT_WIDTH, write_digits, write_iso, write_varint,
};

/// A report of nobody, and where it is to be patched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Skeleton {
    /// All of it.
    pub(crate) bytes: Vec<u8>,
    /// Offsets into it.
    pub(crate) gaps: Gaps,
}

/// Offsets of what differs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps {
    /// Component names.
    pub(crate) names: Vec<usize>,
    /// Workers' numbers in host names.
    pub(crate) worker_numbers: Vec<usize>,
    /// RFC 3339 times.
    pub(crate) iso_times: Vec<usize>,
    /// Unix milliseconds in decimal.
    pub(crate) milli_times: Vec<usize>,
    /// Unix milliseconds as Protocol Buffers have them.
    pub(crate) varint_times: Vec<usize>,
    /// Values, in the order of the metrics.
    pub(crate) values: Vec<(usize, ValueForm)>,
    /// Numbers in labels, each with the index of its metric.
    pub(crate) numbers: Vec<(usize, Numbering, usize)>,
}

/// How a value is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ValueForm {
    /// In decimal.
    Text(ValueKind),
    /// As eight bytes, the lowest first.
    Double,
}

/// The times of one report, rendered once for all its metrics.
#[derive(Debug)]
pub(crate) struct Times {
    iso: [u8; ISO_WIDTH],
    millis: [u8; MILLIS_WIDTH],
    varint: [u8; VARINT_WIDTH],
}

impl Times {
    /// Renders Unix milliseconds.
    pub(crate) fn new(unix_ms: u64) -> Self {
        let mut times =
            Self { iso: [0; ISO_WIDTH], millis: [0; MILLIS_WIDTH], varint: [0; VARINT_WIDTH] };
        write_iso(&mut times.iso, unix_ms);
        write_digits(&mut times.millis, unix_ms);
        write_varint(&mut times.varint, unix_ms);
        times
    }
}

impl Gaps {
    /// Makes `report`, a copy of the skeleton, report number `round` of `worker`.
    pub(crate) fn fill(
        &self,
        report: &mut [u8],
        plan: &Plan,
        content: &Content,
        times: &Times,
        (worker, round): (u32, u64),
    ) {
        let name = plan.component_name(worker);
        let mut number = [0; WORKER_WIDTH];
        number.copy_from_slice(&name[COMPONENT_NAME_WIDTH - WORKER_WIDTH..]);
        overwrite(report, &self.names, &name);
        overwrite(report, &self.worker_numbers, &number);
        overwrite(report, &self.iso_times, &times.iso);
        overwrite(report, &self.milli_times, &times.millis);
        overwrite(report, &self.varint_times, &times.varint);
        for (at, numbering, index) in &self.numbers {
            let number = content.number(*numbering, worker, round, *index);
            write_digits(&mut report[*at..*at + NUMBER_WIDTH], number);
        }
        for ((at, form), (_, eighths)) in self.values.iter().zip(content.samples(worker, round)) {
            match form {
                ValueForm::Text(kind) => kind.write(&mut report[*at..*at + kind.width()], eighths),
                ValueForm::Double => {
                    let value = eighths as f64 / EIGHTHS_PER_UNIT as f64;
                    report[*at..*at + 8].copy_from_slice(&value.to_le_bytes());
                }
            }
        }
    }

    /// Takes in the gaps of what is appended at `base`.
    pub(crate) fn append(&mut self, other: Self, base: usize) {
        let Self { names, worker_numbers, iso_times, milli_times, varint_times, values, numbers } =
            other;
        let shift = |at: usize| at + base;
        self.names.extend(names.into_iter().map(shift));
        self.worker_numbers.extend(worker_numbers.into_iter().map(shift));
        self.iso_times.extend(iso_times.into_iter().map(shift));
        self.milli_times.extend(milli_times.into_iter().map(shift));
        self.varint_times.extend(varint_times.into_iter().map(shift));
        self.values.extend(values.into_iter().map(|(at, form)| (shift(at), form)));
        self.numbers.extend(numbers.into_iter().map(|(at, n, index)| (shift(at), n, index)));
    }
}

/// The width is a constant, so that each copy is a few moves and not a call.
fn overwrite<const WIDTH: usize>(report: &mut [u8], offsets: &[usize], bytes: &[u8; WIDTH]) {
    for at in offsets {
        report[*at..*at + WIDTH].copy_from_slice(bytes);
    }
}
