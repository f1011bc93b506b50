//! TLS: certificates that may change while the server runs, and handshakes with a bound.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Handshakes at once. Further ones wait for their turn, within their time.
const HANDSHAKES_MAX: usize = 1024;

/// The texts of the files, in PEM.
#[derive(Clone)]
pub struct TlsTexts {
    /// The server's certificate, and behind it those that lead to a root.
    pub certificates: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
    /// The authorities of clients; none where clients need no certificate.
    pub client_authorities: Option<Vec<u8>>,
}

/// Files that TLS cannot be spoken with. What is in them is not repeated.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate.
    #[error("tls-cert has no certificate in PEM; it begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// There is no private key.
    #[error("tls-key has no private key in PEM; write it unencrypted, as PKCS #8")]
    NoKey,
    /// Certificate and key cannot be used together.
    #[error("use tls-cert with tls-key: {0}")]
    Mismatch(rustls::Error),
    /// There is no certificate of an authority.
    #[error("tls-client-ca has no certificate in PEM that can sign others")]
    NoAuthority,
}

/// How TLS is spoken.
pub struct Tls {
    config: ArcSwap<ServerConfig>,
    turns: Semaphore,
}

impl Tls {
    /// With those files.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub fn new(texts: &TlsTexts) -> Result<Self, TlsError> {
        let config = ArcSwap::from_pointee(server_config(texts)?);
        Ok(Self { config, turns: Semaphore::new(HANDSHAKES_MAX) })
    }

    /// Speaks it with those files from the next connection on; those that are open go on.
    ///
    /// # Errors
    /// Where they cannot be used; then nothing changes.
    pub fn replace(&self, texts: &TlsTexts) -> Result<(), TlsError> {
        self.config.store(Arc::new(server_config(texts)?));
        Ok(())
    }

    /// Comes to terms with a client, if that succeeds within `limit`, the wait for a turn included.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        limit: Duration,
    ) -> Option<TlsStream<TcpStream>> {
        let shaking = async {
            let _turn = self.turns.acquire().await.ok()?;
            let accepted = TlsAcceptor::from(self.config.load_full()).accept(stream).await;
            // Scanners and clients with another idea of trust are no trouble of ours.
            accepted.inspect_err(|error| tracing::debug!(%error, "no TLS came about")).ok()
        };
        timeout(limit, shaking).await.unwrap_or(None)
    }
}

fn server_config(texts: &TlsTexts) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Mismatch)?;
    let builder = match &texts.client_authorities {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(authorities).ok_or(TlsError::NoAuthority)? {
                roots.add(authority).map_err(|_| TlsError::NoAuthority)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|_| TlsError::NoAuthority)?)
        }
    };
    let chain = certificates(&texts.certificates).ok_or(TlsError::NoCertificate)?;
    let key = PrivateKeyDer::from_pem_slice(&texts.key).map_err(|_| TlsError::NoKey)?;
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Mismatch)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// All certificates of a text; none where there is not a single one, or one is broken.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> TlsTexts {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        TlsTexts {
            certificates: made.cert.pem().into_bytes(),
            key: made.signing_key.serialize_pem().into_bytes(),
            client_authorities: None,
        }
    }

    #[test]
    fn files_that_do_not_go_together_are_named_and_not_repeated() {
        let (one, other) = (texts(), texts());
        let check = |texts: TlsTexts, want: Option<&str>| {
            let error = Tls::new(&texts).err().map(|error| format!("{error} {error:?}"));
            match (&error, want) {
                (None, None) => {}
                (Some(error), Some(want)) => {
                    assert!(error.starts_with(want), "{error}");
                    let secret = String::from_utf8(one.key.clone()).unwrap();
                    let line = secret.lines().nth(1).unwrap();
                    assert!(!error.contains(line), "{error}");
                }
                _ => panic!("{error:?}, expected {want:?}"),
            }
        };
        check(one.clone(), None);
        check(
            TlsTexts { client_authorities: Some(other.certificates.clone()), ..one.clone() },
            None,
        );
        check(TlsTexts { certificates: one.key.clone(), ..one.clone() }, Some("tls-cert has no"));
        check(TlsTexts { key: one.certificates.clone(), ..one.clone() }, Some("tls-key has no"));
        check(TlsTexts { key: other.key, ..one.clone() }, Some("use tls-cert with tls-key"));
        let none = TlsTexts { client_authorities: Some(one.key.clone()), ..one.clone() };
        check(none, Some("tls-client-ca has no"));
    }
}
