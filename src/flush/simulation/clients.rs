//! The clients and their reports: what each has sent, and what it was answered.

use std::ops::Range;

use super::Luck;
use crate::ingest::IngestError;
use crate::log::AppendError;
use crate::protocol::answer;

pub(super) const COMPONENTS: u64 = 4;
pub(super) const SERIES: usize = 5;

/// Reports of a component that wait for an answer at most.
const OUTSTANDING_MAX: usize = 6;

/// A report as its client knows it.
pub(super) struct Report {
    pub(super) component: usize,
    /// The series and their values, no two of which are the same in a world.
    pub(super) samples: Vec<(usize, f64)>,
    /// In microseconds since 1970.
    pub(super) timestamp: i64,
    pub(super) document: String,
    pub(super) key: Option<String>,
    /// The reports that it shares a body with, as lines.
    pub(super) body: Range<usize>,
    /// The clock went back so far that the server may not take it.
    pub(super) from_the_future: bool,
    /// The database will refuse it.
    pub(super) poisoned: bool,
    pub(super) state: State,
    /// It was sent and nobody said that it was not taken.
    pub(super) may_be_stored: bool,
    /// The turn of the world in which it was first sent.
    pub(super) first_sent: u64,
    /// The turn in which it was acknowledged.
    pub(super) acknowledged: Option<u64>,
    /// The server's starts since it was first sent.
    pub(super) restarts: u32,
    /// Until when the server has promised to remember its key.
    pub(super) remembered: Memory,
}

/// How long a key is remembered, as far as a client can tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// The latest time of the world's clock when it was first sent.
    pub(super) clock_s: u32,
    /// The newest segment of the log at that time.
    pub(super) segment: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its client has no answer and will ask again.
    Waiting,
    /// It is being asked.
    Asking,
    /// It was acknowledged.
    Acknowledged,
    /// Its client has gone without an answer.
    GivenUp,
}

/// What an answer means to those who sent the reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Acknowledged {
        metrics: usize,
    },
    /// Not taken this time; it may be later.
    NotNow,
    /// Not taken, ever.
    NotEver,
    /// The key is another report's.
    OtherReport,
    /// Nobody knows.
    Unknown,
}

impl Meaning {
    pub(super) fn of(answer: &Result<Vec<u8>, IngestError>) -> Self {
        match answer {
            Ok(answer) => Self::Acknowledged { metrics: answer::read_inserted(answer) },
            Err(IngestError::Log(AppendError::TooLarge { .. })) => panic!("no report is too large"),
            Err(IngestError::Log(_) | IngestError::KeyInFlight) => Self::NotNow,
            Err(IngestError::KeyReused) => Self::OtherReport,
            // The clock went back, and the samples come from the future.
            Err(IngestError::NothingTaken { .. }) => Self::NotEver,
            Err(IngestError::Unsynced(_)) => Self::Unknown,
            Err(error) => panic!("no client should hear: {error}"),
        }
    }
}

/// All clients.
#[derive(Default)]
pub(super) struct Clients {
    /// All reports are of the same size, so that one can stand exactly where another one stood.
    pub(super) alike: bool,
    pub(super) reports: Vec<Report>,
}

/// What a new report is like.
pub(super) struct Occasion {
    pub(super) turn: u64,
    pub(super) now: i64,
    pub(super) memory: Memory,
}

impl Clients {
    /// A new report, unless its component must wait.
    ///
    /// Without a key, only the last values tell a repeat; so while a report without one waits,
    /// no other one of its component may change them.
    pub(super) fn compose(&mut self, luck: &mut Luck, occasion: &Occasion) {
        let component = if self.alike { 0 } else { luck.below(COMPONENTS) as usize };
        let outstanding = self.outstanding(component).count();
        if outstanding >= OUTSTANDING_MAX
            || self.outstanding(component).any(|report| report.key.is_none())
        {
            return;
        }
        let serial = self.reports.len();
        let mut series: Vec<usize> =
            (0..SERIES).filter(|_| self.alike || luck.once_in(2)).collect();
        if series.is_empty() {
            series.push(0);
        }
        let samples: Vec<_> =
            series.iter().map(|&series| (series, value_of(serial, series))).collect();
        // Its own time, or a second attempt would be another sample; now and then of yesterday.
        let age_us = if luck.once_in(8) { 86_400_000_000 } else { 0 };
        let timestamp = occasion.now - age_us;
        let document = document(component, &samples, timestamp);
        let key =
            (self.alike || outstanding > 0 || luck.once_in(2)).then(|| format!("key-{serial}"));
        self.reports.push(Report {
            component,
            samples,
            timestamp,
            document,
            key,
            body: serial..serial + 1,
            from_the_future: false,
            poisoned: luck.once_in(24),
            state: State::Waiting,
            may_be_stored: false,
            first_sent: occasion.turn,
            acknowledged: None,
            restarts: 0,
            remembered: occasion.memory,
        });
    }

    fn outstanding(&self, component: usize) -> impl Iterator<Item = &Report> {
        self.reports.iter().filter(move |report| {
            report.component == component && matches!(report.state, State::Waiting | State::Asking)
        })
    }

    /// Whether anybody waits for an answer.
    pub(super) fn anybody_waits(&self) -> bool {
        self.reports.iter().any(|one| matches!(one.state, State::Waiting | State::Asking))
    }

    /// Whether anybody waits whom only the last values can tell from somebody new.
    pub(super) fn anybody_waits_without_key(&self) -> bool {
        let waits = |one: &Report| matches!(one.state, State::Waiting | State::Asking);
        self.reports.iter().any(|one| waits(one) && one.key.is_none())
    }

    /// Makes the reports lines of one body, with one key if any of them has one.
    pub(super) fn bind(&mut self, reports: Range<usize>) {
        let lines = &mut self.reports[reports.clone()];
        let key = lines.iter().find_map(|report| report.key.clone());
        for report in lines {
            report.key.clone_from(&key);
            report.body = reports.clone();
        }
    }

    /// The bodies of those who will ask again, those without a key first.
    pub(super) fn waiting(&self) -> Vec<Range<usize>> {
        let waits = self.reports.iter().filter(|report| report.state == State::Waiting);
        let mut bodies: Vec<_> = waits.map(|report| report.body.clone()).collect();
        bodies.dedup();
        bodies.sort_by_key(|body| self.reports[body.start].key.is_some());
        bodies
    }

    /// An answer came for a report, which brought so many of the answer's metrics.
    pub(super) fn answered(&mut self, serial: usize, meaning: Meaning, turn: u64) {
        let report = &mut self.reports[serial];
        report.state = match meaning {
            Meaning::Acknowledged { .. } => {
                report.acknowledged = Some(turn);
                State::Acknowledged
            }
            Meaning::NotNow => State::Waiting,
            Meaning::NotEver => State::GivenUp,
            Meaning::OtherReport => panic!("report {serial} is told that its key is another's"),
            Meaning::Unknown => State::Waiting,
        };
        report.may_be_stored |= matches!(meaning, Meaning::Acknowledged { .. } | Meaning::Unknown);
    }

    /// The server is gone, and so are the answers to whatever was asked.
    pub(super) fn lose_answers(&mut self, asked: Range<usize>) {
        for report in &mut self.reports[asked] {
            report.state = State::Waiting;
            report.may_be_stored = true;
        }
    }

    /// The client goes without an answer.
    pub(super) fn give_up(&mut self, body: Range<usize>) {
        for report in &mut self.reports[body] {
            report.state = State::GivenUp;
        }
    }

    /// A server starts. What it cannot know any more is not asked again: reports without a key
    /// are told by the last values in the log's newest segments, and where it starts without the
    /// database not even by those.
    pub(super) fn restarted(&mut self, filled: bool) {
        for report in &mut self.reports {
            report.restarts += 1;
            if report.state == State::Waiting
                && report.key.is_none()
                && report.may_be_stored
                && (report.restarts > 1 || !filled)
            {
                report.state = State::GivenUp;
            }
        }
    }

    /// The clock shows `now`, in microseconds since 1970.
    pub(super) fn come_from_the_future(&mut self, now: i64) {
        for report in &mut self.reports {
            report.from_the_future |= report.timestamp > now + 600_000_000;
        }
    }

    /// Gives up on keys that the server need not know any more at that time.
    pub(super) fn forget(&mut self, still: impl Fn(&Memory) -> bool) {
        for report in &mut self.reports {
            if report.state == State::Waiting
                && report.key.is_some()
                && report.may_be_stored
                && !still(&report.remembered)
            {
                report.state = State::GivenUp;
            }
        }
    }
}

fn document(component: usize, samples: &[(usize, f64)], timestamp: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(timestamp).unwrap();
    let metrics: Vec<_> = samples
        .iter()
        .map(|(series, value)| {
            format!(
                "{{\"metric_name\":\"s{series}\",\"metric_type\":\"gauge\",\
                  \"metric_value\":{value},\"timestamp\":\"{at}\"}}"
            )
        })
        .collect();
    format!(
        "{{\"component_name\":\"c{component}\",\"component_type\":\"t\",\"metrics\":[{}]}}",
        metrics.join(",")
    )
}

/// The value of a series in a report, which no other report of the world has.
fn value_of(report: usize, series: usize) -> f64 {
    (report * SERIES + series) as f64
}

/// The report and the series of a value.
#[expect(clippy::cast_sign_loss, reason = "the values are counted from 0")]
pub(super) fn origin_of(value: f64) -> (usize, usize) {
    (value as usize / SERIES, value as usize % SERIES)
}
