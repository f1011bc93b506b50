//! The figures of a comparison: of each round, their medians, and how ours relate to a peer's.
//! Pure.

use serde::Serialize;

use crate::compare::RoundResult;
use crate::report::median;
use crate::server::Candidate;

/// What is compared of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Samples acknowledged per second.
    pub(crate) samples_per_second: f64,
    /// CPU seconds of the server and all its children per million samples.
    pub(crate) cpu_per_million: f64,
    /// Those of the server itself.
    pub(crate) cpu_server_per_million: f64,
    /// Those of its children: PostgreSQL.
    pub(crate) cpu_children_per_million: f64,
    /// The most memory of the server and all its children, in MiB.
    pub(crate) memory_mib: f64,
    /// Bytes on disk per sample.
    pub(crate) bytes_per_sample: f64,
    /// Median latency of a request.
    pub(crate) p50_ms: f64,
    /// One request in a hundred takes longer.
    pub(crate) p99_ms: f64,
}

/// The medians of one server's rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Medians {
    /// Which server.
    pub(crate) server: Candidate,
    /// The figures.
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// Ours over a peer's, within each round; the medians of that.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Ratios {
    /// The peer.
    pub(crate) against: Candidate,
    /// The figures.
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

impl Figures {
    /// Those of a round.
    pub(crate) fn of(round: &RoundResult) -> Self {
        let report = &round.report;
        let cpu = report.server_cpu.unwrap_or_default();
        let memory = report.server_memory.unwrap_or_default();
        Self {
            samples_per_second: report.samples_per_second,
            cpu_per_million: report.per_million(cpu.total()),
            cpu_server_per_million: report.per_million(cpu.roots),
            cpu_children_per_million: report.per_million(cpu.descendants),
            memory_mib: memory.total() as f64 / f64::from(1 << 20),
            bytes_per_sample: report.bytes_per_sample.unwrap_or(0.0),
            p50_ms: report.latency.p50_us as f64 / 1_000.0,
            p99_ms: report.latency.p99_us as f64 / 1_000.0,
        }
    }

    /// A figure made of each figure of one round or more.
    fn each(of: impl Fn(fn(&Self) -> f64) -> f64) -> Self {
        Self {
            samples_per_second: of(|f| f.samples_per_second),
            cpu_per_million: of(|f| f.cpu_per_million),
            cpu_server_per_million: of(|f| f.cpu_server_per_million),
            cpu_children_per_million: of(|f| f.cpu_children_per_million),
            memory_mib: of(|f| f.memory_mib),
            bytes_per_sample: of(|f| f.bytes_per_sample),
            p50_ms: of(|f| f.p50_ms),
            p99_ms: of(|f| f.p99_ms),
        }
    }

    fn median(rounds: &[Self]) -> Self {
        Self::each(|figure| median(rounds.iter().map(figure).collect()))
    }

    /// Zero where either side has nothing.
    fn over(&self, other: &Self) -> Self {
        Self::each(|figure| {
            let (ours, theirs) = (figure(self), figure(other));
            if theirs > 0.0 { ours / theirs } else { 0.0 }
        })
    }
}

/// The medians of each of `servers`.
pub(crate) fn medians(servers: &[Candidate], rounds: &[RoundResult]) -> Vec<Medians> {
    let of = |server: &Candidate| {
        let own: Vec<Figures> =
            rounds.iter().filter(|round| round.server == *server).map(Figures::of).collect();
        Medians { server: *server, figures: Figures::median(&own) }
    };
    servers.iter().map(of).collect()
}

/// How ours relates to each of the others. The machine's speed drifts, so only rounds that stand
/// beside each other are related.
pub(crate) fn ratios(servers: &[Candidate], rounds: &[RoundResult]) -> Vec<Ratios> {
    let of = |server: Candidate, round: u32| {
        let mut own = rounds.iter().filter(|r| r.server == server && r.round == round);
        own.next().map(Figures::of)
    };
    let against = |peer: Candidate| {
        let ours = rounds.iter().filter(|round| round.server == Candidate::NoetlMetrics);
        let pairs: Vec<Figures> =
            ours.filter_map(|ours| Some(Figures::of(ours).over(&of(peer, ours.round)?))).collect();
        Ratios { against: peer, figures: Figures::median(&pairs) }
    };
    let peers = servers.iter().copied().filter(|server| *server != Candidate::NoetlMetrics);
    peers.map(against).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_has_no_ratio() {
        let of = |samples_per_second, p99_ms| Figures {
            samples_per_second,
            p99_ms,
            ..Figures::default()
        };
        assert_eq!(of(30.0, 2.0).over(&of(10.0, 0.0)), of(3.0, 0.0));
    }
}
