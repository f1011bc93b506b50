//! Where the server is.

use std::fmt;
use std::str::FromStr;

/// The URL of a server: host, port, and a path before those of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    host: String,
    port: u16,
    path: String,
}

impl ServerUrl {
    /// The host's name or address, an IPv6 one without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, as the header `Host` has them.
    pub fn authority(&self) -> String {
        let host = &self.host;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }

    /// What stands before the paths of the contract, without a slash at its end.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Default for ServerUrl {
    fn default() -> Self {
        Self { host: "localhost".to_owned(), port: 8082, path: String::new() }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://{}{}", self.authority(), self.path)
    }
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "is not a URL of a server; write it like http://metrics.example:8082";
        if text.starts_with("https://") {
            return Err("asks for TLS, which the client does not speak; name the HTTP address of \
                        the server, or of a proxy on this host that speaks it"
                .to_owned());
        }
        let rest = text.strip_prefix("http://").ok_or(FORM)?;
        let (authority, path) = match rest.find('/') {
            Some(at) => (&rest[..at], &rest[at..]),
            None => (rest, ""),
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || "@?#%\\\"<>".contains(c);
        if rest.contains(odd) || !rest.is_ascii() {
            return Err(FORM.to_owned());
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(FORM)?;
                (
                    host,
                    if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(FORM)?) },
                )
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() || (host.contains(':') && !authority.starts_with('[')) {
            return Err(FORM.to_owned());
        }
        let port = port.map_or(Ok(80), |port| port.parse().map_err(|_| FORM))?;
        let path = path.trim_end_matches('/').to_owned();
        Ok(Self { host: host.to_owned(), port, path })
    }
}
