//! Delivers once what somebody waits for: a script, a job of cron.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::pack::Packer;
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::transport::{Backoff, NoAnswer, Outcome, Rejects, TlsError, Transport};

/// Why something is not on the server's disk, or not known to be.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The operating system gives no random bytes, of which keys are made.
    #[error("read random bytes: {0}")]
    Random(getrandom::Error),
    /// The files of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Client and server do not trust each other.
    #[error("{0}; nothing was sent")]
    Certificate(NoAnswer),
    /// The server does not let the caller in.
    #[error(
        "the server does not let this in: {said}{}; NOETL_TOKEN or --worker-token-file names the \
         token that is sent",
        in_brackets(code)
    )]
    Denied {
        /// The code of the error.
        code: String,
        /// What the server says.
        said: String,
    },
    /// The server would refuse it again.
    #[error("the server refuses it: {said}{}", in_brackets(code))]
    Refused {
        /// The code of the error.
        code: String,
        /// What the server says.
        said: String,
    },
    /// It was tried for as long as was asked for.
    #[error("not delivered within {within:?}: {said}")]
    GivenUp {
        /// How long.
        within: Duration,
        /// What was last the matter.
        said: String,
    },
}

/// A proxy's page has no code.
fn in_brackets(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" ({code})") }
}

/// What is on the server's disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Samples.
    pub samples: u64,
    /// Those that it did not take.
    pub rejects: Rejects,
}

/// Delivers a snapshot, and tries again for as long as `within` says; not where only a person can
/// help: a token or a certificate that is not taken.
///
/// # Errors
/// Where that does not succeed. Of a snapshot of several reports, some may be delivered.
pub async fn push(
    settings: &Settings,
    snapshot: Snapshot,
    within: Duration,
) -> Result<Pushed, PushError> {
    let deadline = Instant::now() + within;
    let mut packer = Packer::new(settings.compress_above).map_err(PushError::Random)?;
    let seed = getrandom::u64().map_err(PushError::Random)?;
    let mut backoff = Backoff::new(settings.backoff_max, seed);
    let timeout = settings.request_timeout.min(within.max(Duration::from_secs(1)));
    let mut transport = Transport::new(settings, timeout)?;
    let mut pushed = Pushed::default();
    for document in snapshot.finish() {
        let report = packer.pack(document);
        loop {
            let (after, said) = match transport.report(&report).await.map(|one| one.outcome()) {
                Ok(Outcome::Taken(rejects)) => {
                    pushed.samples += u64::from(report.samples).saturating_sub(rejects.count);
                    pushed.rejects.count += rejects.count;
                    if pushed.rejects.reason.is_empty() {
                        pushed.rejects.reason = rejects.reason;
                    }
                    backoff.reset();
                    break;
                }
                Ok(Outcome::Refused { code, said }) => {
                    return Err(PushError::Refused { code, said });
                }
                Ok(Outcome::Denied { code, said }) => {
                    return Err(PushError::Denied { code, said });
                }
                Err(error @ NoAnswer::Certificate { .. }) => {
                    return Err(PushError::Certificate(error));
                }
                Ok(Outcome::Unregistered) => (None, "the component is not registered".to_owned()),
                Ok(Outcome::Again { after, said }) => (after, said),
                Err(error) => (None, error.to_string()),
            };
            let pause = backoff.pause(after);
            if Instant::now() + pause > deadline {
                return Err(PushError::GivenUp { within, said });
            }
            sleep(pause).await;
        }
    }
    Ok(pushed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted_server::{Reaction, ScriptedServer, answer, taken};
    use crate::snapshot::{Reporting, Sample};
    use crate::vocabulary::MetricType;

    fn snapshot() -> Snapshot {
        let reporting = Reporting {
            component_name: "script".to_owned(),
            component_type: None,
            labels: Vec::new(),
        };
        let mut snapshot = Snapshot::new(&reporting, 1, 10);
        snapshot.push(&Sample::new("one", MetricType::Gauge, 1.0));
        snapshot
    }

    async fn pushed(reaction: Reaction, times: u32, within: Duration) -> Result<Pushed, PushError> {
        let left = std::sync::Mutex::new(times);
        let server = ScriptedServer::start(move |_| {
            let mut left = left.lock().unwrap();
            if *left == 0 {
                return taken();
            }
            *left -= 1;
            reaction.clone()
        })
        .await;
        let settings = Settings {
            server_url: server.url.clone(),
            backoff_max: Duration::from_millis(10),
            ..Settings::default()
        };
        push(&settings, snapshot(), within).await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn it_is_tried_until_it_is_taken_or_refused() {
        let expected = Pushed { samples: 1, rejects: Rejects::default() };
        assert_eq!(pushed(Reaction::Close, 3, LONG).await.unwrap(), expected);
        let refused = answer("400 x", "", r#"{"error":"invalid_json","detail":"d"}"#);
        let error = pushed(refused, 1, LONG).await.unwrap_err();
        assert_eq!(error.to_string(), "the server refuses it: d (invalid_json)");
    }

    #[tokio::test]
    async fn whoever_is_not_let_in_does_not_wait_for_it() {
        for (status, body, said) in [
            ("401 x", r#"{"error":"invalid_token","detail":"d"}"#, "d (invalid_token)"),
            ("403 x", "<html>", "status 403"),
        ] {
            let error = pushed(answer(status, "", body), 1, LONG).await.unwrap_err();
            let said = format!("the server does not let this in: {said}; NOETL_TOKEN or");
            assert!(error.to_string().starts_with(&said), "{error}");
        }
    }

    #[tokio::test]
    async fn it_is_given_up_when_the_time_is_over_and_not_after_it() {
        let busy = answer("429 x", "retry-after: 3600\r\n", r#"{"detail":"wait"}"#);
        let error = pushed(busy, u32::MAX, LONG).await.unwrap_err();
        assert_eq!(error.to_string(), "not delivered within 60s: wait");
        let error = pushed(Reaction::Close, u32::MAX, Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, PushError::GivenUp { .. }), "{error}");
    }
}
