//! Where the server is.

use std::fmt;
use std::str::FromStr;

/// How a server is spoken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In plain text.
    Http,
    /// By TLS.
    Https,
}

impl Scheme {
    fn text(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The URL of a server: scheme, host, port, and a path before those of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    scheme: Scheme,
    host: String,
    port: u16,
    path: String,
}

impl ServerUrl {
    /// How it is spoken with.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

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
        if self.port == self.scheme.port() { host } else { format!("{host}:{}", self.port) }
    }

    /// What stands before the paths of the contract, without a slash at its end.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Default for ServerUrl {
    fn default() -> Self {
        let host = "localhost".to_owned();
        Self { scheme: Scheme::Http, host, port: 8082, path: String::new() }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}{}", self.scheme.text(), self.authority(), self.path)
    }
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "is not a URL of a server; write it like http://metrics.example:8082";
        let scheme = [Scheme::Http, Scheme::Https];
        let scheme = scheme.into_iter().find(|one| text.starts_with(one.text())).ok_or(FORM)?;
        if scheme == Scheme::Https && cfg!(not(feature = "tls")) {
            return Err("asks for TLS, which this program was built without; build it with the \
                        feature `tls` of noetl-metrics-client"
                .to_owned());
        }
        let rest = &text[scheme.text().len()..];
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
        let port = port.map_or(Ok(scheme.port()), |port| port.parse().map_err(|_| FORM))?;
        let path = path.trim_end_matches('/').to_owned();
        Ok(Self { scheme, host: host.to_owned(), port, path })
    }
}
