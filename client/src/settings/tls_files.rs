//! The files that TLS is spoken with.

use std::path::PathBuf;

use super::Scheme;

/// Files in PEM, none of which has to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities that are trusted instead of those of the system.
    pub authorities: Option<PathBuf>,
    /// The worker's own certificate, with those behind it that lead to a root.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// Whether there is anything to read.
    pub(crate) fn any(&self) -> bool {
        self.authorities.is_some() || self.certificate.is_some() || self.key.is_some()
    }

    /// What cannot be meant, if anything.
    pub(super) fn mistake(&self, scheme: Scheme) -> Option<String> {
        if self.certificate.is_some() != self.key.is_some() {
            return Some("worker-cert-file and worker-key-file need each other".to_owned());
        }
        let plain = scheme == Scheme::Http && self.any();
        // Whoever names them wants TLS, and must not report in plain text without a word.
        plain.then(|| {
            "worker-ca-file and worker-cert-file are for a server-url that begins with https://"
                .to_owned()
        })
    }
}
