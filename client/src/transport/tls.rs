//! TLS: whom the client trusts, and what it shows of itself.
//!
//! By rustls with ring, told explicitly, so that a worker may have another provider of its own.
//! Guarantees that no connection comes about with a server whose certificate is not signed by an
//! authority that is trusted, or is for another name; there is no way to leave that out.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::NoAnswer;
use crate::settings::{Scheme, ServerUrl, TlsFiles};

/// Why TLS cannot be spoken. What is in the files is not repeated.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("read {}, the file of {key}: {source}", path.display())]
    Read {
        /// The variable's flag.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file has no certificate.
    #[error("{} has no certificate in PEM, as {key} needs it", path.display())]
    NoCertificate {
        /// The variable's flag.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A file has no private key.
    #[error("{} has no private key in PEM; write it unencrypted, as PKCS #8", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key cannot be used together.
    #[error("use worker-cert-file with worker-key-file: {0}")]
    Mismatch(rustls::Error),
    /// There is nobody to trust.
    #[error(
        "this system has no authorities that could vouch for a server{0}; install \
         ca-certificates, or name a file of them by worker-ca-file"
    )]
    NobodyTrusted(String),
    /// No certificate can be for that host.
    #[error("{0:?} is no name that a certificate could be for")]
    Name(String),
}

/// How one server is spoken with.
#[derive(Debug)]
pub(super) struct Tls {
    server: String,
    name: ServerName<'static>,
    files: Arc<TlsFiles>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: Arc<ClientConfig>,
    /// Why the files could not be read again, as it was logged last.
    complaint: Option<String>,
}

impl Tls {
    /// For a server at an `https://` URL; none for another.
    pub(super) fn to(server: &ServerUrl, files: &TlsFiles) -> Result<Option<Self>, TlsError> {
        if server.scheme() == Scheme::Http {
            return Ok(None);
        }
        let host = server.host().to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| TlsError::Name(host))?;
        let state = Mutex::new(State { config: Arc::new(config(files)?), complaint: None });
        Ok(Some(Self { server: server.to_string(), name, files: Arc::new(files.clone()), state }))
    }

    /// Speaks TLS on a connection that has just been made.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, NoAnswer> {
        let connector = TlsConnector::from(self.current().await);
        connector.connect(self.name.clone(), stream).await.map_err(|source| {
            let server = self.server.clone();
            match about_certificates(&source) {
                Some(problem) => NoAnswer::Certificate { server, problem },
                None => NoAnswer::Tls { server, source },
            }
        })
    }

    /// With the files as they are now: certificates of workers live shortly, and a worker that
    /// keeps its connection for weeks has to have the next one when it is asked for it.
    async fn current(&self) -> Arc<ClientConfig> {
        if self.files.any() {
            let files = Arc::clone(&self.files);
            // Where the runtime is ending, the connection is of no use any more.
            if let Ok(read) = tokio::task::spawn_blocking(move || config(&files)).await {
                self.take_over(read);
            }
        }
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Files that cannot be used, as in the middle of their replacement, change nothing.
    fn take_over(&self, read: Result<ClientConfig, TlsError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(config) => {
                state.config = Arc::new(config);
                state.complaint = None;
            }
            Err(error) => {
                let complaint = Some(error.to_string());
                if state.complaint != complaint {
                    tracing::warn!(%error, "the files of TLS are used as they were");
                    state.complaint = complaint;
                }
            }
        }
    }
}

fn config(files: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Mismatch)?
        .with_root_certificates(roots(files)?);
    let mut config = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates("worker-cert-file", certificate)?;
            let text = read("worker-key-file", key)?;
            let key = PrivateKeyDer::from_pem_slice(&text)
                .map_err(|_| TlsError::NoKey { path: key.clone() })?;
            builder.with_client_auth_cert(chain, key).map_err(TlsError::Mismatch)?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn roots(files: &TlsFiles) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &files.authorities {
        let key = "worker-ca-file";
        for authority in certificates(key, path)? {
            roots
                .add(authority)
                .map_err(|_| TlsError::NoCertificate { key, path: path.clone() })?;
        }
    } else {
        let found = rustls_native_certs::load_native_certs();
        // A system may have some that are broken beside the hundred that are not.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let problem = found.errors.first().map(|error| format!(" ({error})"));
            return Err(TlsError::NobodyTrusted(problem.unwrap_or_default()));
        }
    }
    Ok(roots)
}

/// All certificates of a file, at least one.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(key, path)?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(TlsError::NoCertificate { key, path: path.to_owned() }),
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { key, path: path.to_owned(), source })
}

/// What is wrong between two certificates, if that is why a connection did not come about or
/// broke. It does not pass by itself: somebody has to change a file.
pub(super) fn about_certificates(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        // What an I/O error wraps is not among its sources, only what is behind that.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let wrapped = wrapped.map(|inner| inner as &(dyn Error + 'static));
        if let Some(problem) = wrapped.and_then(problem).or_else(|| problem(error)) {
            return Some(problem);
        }
        next = error.source();
    }
    None
}

fn problem(error: &(dyn Error + 'static)) -> Option<String> {
    use AlertDescription as Alert;
    match error.downcast_ref::<rustls::Error>()? {
        error @ rustls::Error::InvalidCertificate(
            // The second is an authority of the same name with another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => Some(format!("{error}; worker-ca-file may name the authority that signed it")),
        error @ rustls::Error::InvalidCertificate(_) => Some(error.to_string()),
        rustls::Error::AlertReceived(Alert::CertificateRequired) => {
            Some("the server asks for one; worker-cert-file names the worker's".to_owned())
        }
        rustls::Error::AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::DecryptError
            | Alert::AccessDenied),
        ) => Some(format!("the server does not take the worker's ({alert:?})")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, files: &TlsFiles) -> String {
        match Tls::to(&url.parse().unwrap(), files) {
            Err(error) => error.to_string(),
            Ok(tls) => panic!("{tls:?}"),
        }
    }

    #[test]
    fn files_that_cannot_be_used_are_named_and_not_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = write("cert.pem", &made.cert.pem());
        let key = write("key.pem", &made.signing_key.serialize_pem());
        let another_key = write("other.pem", &other.signing_key.serialize_pem());
        let secret = made.signing_key.serialize_pem().lines().nth(1).unwrap().to_owned();
        let files = |authorities: &Path, own: Option<(&Path, &Path)>| TlsFiles {
            authorities: Some(authorities.to_owned()),
            certificate: own.map(|own| own.0.to_owned()),
            key: own.map(|own| own.1.to_owned()),
        };
        let sound = files(&certificate, Some((&certificate, &key)));
        let url = "https://localhost:8082";
        assert!(Tls::to(&url.parse().unwrap(), &sound).unwrap().is_some());
        assert!(Tls::to(&"http://a".parse().unwrap(), &sound).unwrap().is_none());

        let away = directory.path().join("away.pem");
        for (files, want) in [
            (files(&away, None), "the file of worker-ca-file: No such file"),
            (files(&key, None), "has no certificate in PEM, as worker-ca-file needs it"),
            (files(&certificate, Some((&key, &key))), "as worker-cert-file needs it"),
            (files(&certificate, Some((&certificate, &certificate))), "has no private key in PEM"),
            (
                files(&certificate, Some((&certificate, &another_key))),
                "use worker-cert-file with worker-key-file",
            ),
        ] {
            let said = refused(url, &files);
            assert!(said.contains(want) && !said.contains(&secret), "{want} in {said}");
        }
        let said = refused("https://-", &sound);
        assert_eq!(said, "\"-\" is no name that a certificate could be for");
    }
}
