//! What the requests hold.

use clap::ValueEnum;

/// The body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One report as `POST /api/metrics/report` takes it.
    Noetl,
    /// One report per line, `application/x-ndjson`.
    Ndjson,
    /// One line per sample, as VictoriaMetrics' `/api/v1/import` takes it.
    VictoriaJson,
    /// Prometheus' text, as VictoriaMetrics' `/api/v1/import/prometheus` takes it.
    VictoriaText,
    /// InfluxDB's line protocol, as VictoriaMetrics' `/write` takes it.
    VictoriaInflux,
    /// Prometheus' remote write, which Prometheus and VictoriaMetrics take.
    RemoteWrite,
}

impl Format {
    /// noetl-metrics takes it and stores it in PostgreSQL.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Noetl | Self::Ndjson)
    }

    /// Bodies are compressed by snappy.
    pub(crate) fn is_compressed(self) -> bool {
        self == Self::RemoteWrite
    }

    /// Where it is posted to.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Noetl | Self::Ndjson => "/api/metrics/report",
            Self::VictoriaJson => "/api/v1/import",
            Self::VictoriaText => "/api/v1/import/prometheus",
            Self::VictoriaInflux => "/write",
            Self::RemoteWrite => "/api/v1/write",
        }
    }

    /// The headers that say what it is, each line ended.
    pub(crate) fn headers(self) -> &'static str {
        match self {
            Self::Noetl => "content-type: application/json\r\n",
            Self::Ndjson | Self::VictoriaJson => "content-type: application/x-ndjson\r\n",
            Self::VictoriaText | Self::VictoriaInflux => "content-type: text/plain\r\n",
            Self::RemoteWrite => {
                "content-type: application/x-protobuf\r\ncontent-encoding: snappy\r\n\
                 x-prometheus-remote-write-version: 0.1.0\r\n"
            }
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Noetl => "noetl",
            Self::Ndjson => "ndjson",
            Self::VictoriaJson => "victoria-json",
            Self::VictoriaText => "victoria-text",
            Self::VictoriaInflux => "victoria-influx",
            Self::RemoteWrite => "remote-write",
        })
    }
}
