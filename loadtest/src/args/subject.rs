//! The server that is measured.

use std::path::PathBuf;

use clap::Args;

use crate::args::Format;
use crate::server::{Binaries, Candidate, PeerBinaries};
use crate::wire::Target;

/// Which server to push to.
#[derive(Debug, Args)]
pub(crate) struct SubjectArgs {
    /// Where the server listens.
    #[arg(long, default_value = "http://127.0.0.1:8082", value_parser = Target::parse)]
    pub(crate) url: Target,
    /// Database in which to check that what was acknowledged is stored exactly once.
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Process whose CPU time and memory are measured with all its children; may be given
    /// repeatedly.
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Vec<u32>,
    /// Instead: a noetl-metrics binary, which is started on a fresh directory, measured with its
    /// embedded PostgreSQL, and stopped.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["url", "database_url", "pid", "peer"])]
    server: Option<PathBuf>,
    /// Instead: a peer, which is started in the same way.
    #[arg(long, value_enum, conflicts_with_all = ["url", "database_url", "pid"])]
    peer: Option<Candidate>,
    /// The peers.
    #[command(flatten)]
    peers: PeerBinaries,
    /// Loopback port for a server that is started.
    #[arg(long, default_value_t = 18_082, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,
    /// Directory for its data, removed afterwards; absent: the system's temporary one.
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// What the requests hold; absent: what a peer is named for, else `noetl`.
    #[arg(long, value_enum, conflicts_with = "peer")]
    format: Option<Format>,
}

impl SubjectArgs {
    /// The server that is to be started.
    pub(crate) fn candidate(&self) -> Option<Candidate> {
        self.peer.or(self.server.as_ref().map(|_| Candidate::NoetlMetrics))
    }

    /// What it is called in a table.
    pub(crate) fn name(&self) -> String {
        self.candidate().map_or_else(|| self.url.to_string(), |candidate| candidate.to_string())
    }

    /// The programs.
    pub(crate) fn binaries(&self) -> Binaries {
        Binaries { noetl: self.server.clone().unwrap_or_default(), peers: self.peers.clone() }
    }

    /// Where directories for servers go.
    pub(crate) fn parent_dir(&self) -> PathBuf {
        self.work_dir.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// What the requests hold.
    pub(crate) fn format(&self) -> Format {
        let of_peer = self.peer.map(|peer| peer.format(1));
        of_peer.or(self.format).unwrap_or(Format::Noetl)
    }
}
