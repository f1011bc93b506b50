//! What an agent is told beside what every worker is.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::settings::{InvalidSettings, Variable, read, set};

/// Processes that may be watched.
const WATCHED_MAX: usize = 64;

/// What is reported beside the host's own figures.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AgentSettings {
    /// Files that hold the id of a process each.
    pub pid_files: Vec<PathBuf>,
    /// Names of programs.
    pub process_names: Vec<String>,
    /// Where the text files are.
    pub textfile_dir: Option<PathBuf>,
    /// Where StatsD is listened for.
    pub statsd: Option<SocketAddr>,
}

/// Every variable of an agent that is not one of all workers.
pub const AGENT_VARIABLES: &[Variable<AgentSettings>] = &[
    Variable {
        key: "agent-pid-files",
        default: "none",
        value_name: "LIST",
        help: "Files with commas between them that hold the id of a process each, which is \
               watched. At most 64.",
        apply: |s, text| set(&mut s.pid_files, list(text)),
    },
    Variable {
        key: "agent-process-names",
        default: "none",
        value_name: "LIST",
        help: "Names of programs with commas between them. All processes of a name are watched \
               as one. At most 64; Linux has the first 15 bytes of a name.",
        apply: |s, text| set(&mut s.process_names, list(text)),
    },
    Variable {
        key: "agent-textfile-dir",
        default: "off",
        value_name: "DIR",
        help: "A directory whose `*.prom` files, in the text format of Prometheus, are reported. \
               `off` is none.",
        apply: |s, text| set(&mut s.textfile_dir, Ok((text != "off").then(|| text.into()))),
    },
    Variable {
        key: "agent-statsd",
        default: "off",
        value_name: "ADDRESS",
        help: "A loopback address and port on which StatsD is taken by UDP, such as \
               127.0.0.1:8125. `off` is none.",
        apply: |s, text| {
            set(&mut s.statsd, if text == "off" { Ok(None) } else { loopback(text).map(Some) })
        },
    },
];

impl AgentSettings {
    /// What `given` says, as in [`crate::Settings::read`].
    ///
    /// # Errors
    /// Every mistake.
    pub fn read(
        given: impl Fn(&Variable<Self>) -> Option<(String, String)>,
    ) -> Result<Self, InvalidSettings> {
        read(AGENT_VARIABLES, given)
    }

    /// Whether any process is watched.
    pub(super) fn watches_processes(&self) -> bool {
        !self.pid_files.is_empty() || !self.process_names.is_empty()
    }
}

fn list<T: for<'a> From<&'a str>>(text: &str) -> Result<Vec<T>, String> {
    let text = if text == "none" { "" } else { text };
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let words: Vec<T> = words.map(T::from).collect();
    if words.len() > WATCHED_MAX {
        return Err(format!("has more than {WATCHED_MAX} entries"));
    }
    Ok(words)
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let example = SocketAddr::from((Ipv4Addr::LOCALHOST, 8125));
    let address: SocketAddr = text
        .parse()
        .map_err(|_| format!("is not an IP address and port; write it like {example}"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        // Whoever can send there can write any metric.
        Err(format!("is not a loopback address; write it like {example}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_addresses_are_understood() {
        let read = |given: &[(&str, &str)]| {
            AgentSettings::read(|variable| {
                let (_, value) = given.iter().find(|(key, _)| *key == variable.key)?;
                Some((variable.name(), (*value).to_owned()))
            })
        };
        let settings = read(&[
            ("agent-pid-files", "/run/a.pid, /run/b.pid,"),
            ("agent-process-names", "postgres"),
            ("agent-textfile-dir", "/var/lib/x"),
            ("agent-statsd", "[::1]:8125"),
        ])
        .unwrap();
        assert_eq!(settings.pid_files, ["/run/a.pid", "/run/b.pid"].map(PathBuf::from));
        assert_eq!(settings.process_names, ["postgres"]);
        assert_eq!(settings.statsd.unwrap().port(), 8125);
        assert!(settings.watches_processes());
        let defaults =
            AgentSettings::read(|one| Some((one.name(), one.default.to_owned()))).unwrap();
        assert_eq!(format!("{defaults:?}"), format!("{:?}", AgentSettings::default()));
        let long = vec!["x"; 65].join(",");
        for (key, wrong) in [
            ("agent-statsd", "0.0.0.0:8125"),
            ("agent-statsd", "8125"),
            ("agent-process-names", long.as_str()),
        ] {
            assert!(read(&[(key, wrong)]).is_err(), "{key} {wrong}");
        }
    }
}
