//! Where the server is.

/// An `http://host:port/base` address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    authority: String,
    base_path: String,
}

impl Target {
    /// Reads a URL; the port is 80 where there is none.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let Some(rest) = url.strip_prefix("http://") else {
            return Err(format!("'{url}' must begin with http:// (TLS is not spoken here)"));
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || host.contains(['@', ' ', '?', '#']) {
            return Err(format!("'{url}' must be http://HOST[:PORT][/BASE]"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { host.to_owned() } else { format!("{host}:80") };
        let path = path.trim_end_matches('/');
        let base_path = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { authority, base_path })
    }

    /// A server on this machine's loopback.
    pub(crate) fn loopback(port: u16) -> Self {
        Self { authority: format!("127.0.0.1:{port}"), base_path: String::new() }
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// What every path begins with: empty, or `/…` without a slash at its end.
    pub(crate) fn base_path(&self) -> &str {
        &self.base_path
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}{}", self.authority, self.base_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(Target::parse(url).ok().map(|t| t.to_string()).as_deref(), expected);
        };
        check("http://127.0.0.1:8082", Some("http://127.0.0.1:8082"));
        check("http://metrics/", Some("http://metrics:80"));
        check("http://[::1]:8082/base/", Some("http://[::1]:8082/base"));
        check("https://metrics", None);
        check("127.0.0.1:8082", None);
        check("http://", None);
        check("http://user@host", None);
    }
}
