//! TLS on the real port: certificates, those of clients, and new ones without a break.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::output::{PATIENCE, until};
use crate::server::{Launch, Server};

/// An authority that signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // With the name of what it signs, OpenSSL would take that for self-signed; and two of one name
        // are told apart by their signatures only.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this host, of today.
    pub(crate) fn identity(&self) -> Identity {
        self.identity_of(&["localhost", "127.0.0.1"], |_| {})
    }

    /// A certificate for those names, changed before it is signed.
    pub(crate) fn identity_of(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }
}

impl Identity {
    /// As `cert.pem` and `key.pem`.
    pub(crate) fn write(&self, directory: &Path) {
        fs::write(directory.join("cert.pem"), &self.certificate).unwrap();
        fs::write(directory.join("key.pem"), &self.key).unwrap();
    }
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

/// A connection that trusts `authority`, with a certificate of its own where one is given.
fn connect(address: SocketAddr, authority: &Authority, own: Option<&Identity>) -> Connection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

/// Asks for `/health` on the connection; whether it answers.
fn is_healthy(connection: &mut Connection) -> bool {
    let mut ask = || -> std::io::Result<bool> {
        connection.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut piece = [0; 1024];
            let bytes = connection.read(&mut piece)?;
            if bytes == 0 {
                return Ok(false);
            }
            answer.extend_from_slice(&piece[..bytes]);
        }
        Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    match ask() {
        Ok(healthy) => healthy,
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer in time"),
        Err(_) => false,
    }
}

/// A server with what [`Identity::write`] left.
pub(crate) fn launch(directory: &Path) -> Launch {
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    Launch::new().flag("tls-cert", &path("cert.pem")).flag("tls-key", &path("key.pem"))
}

#[test]
fn new_certificates_are_taken_over_without_a_break() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (Authority::new(), Authority::new());
    first.identity().write(directory.path());
    let server: Server = launch(directory.path()).flag("head-timeout", "1s").start();
    let address = server.address();
    let mut lasting = connect(address, &first, None);
    assert!(is_healthy(&mut lasting));
    assert!(!is_healthy(&mut connect(address, &second, None)));

    // As clients do it.
    let trusted = directory.path().join("ca.pem");
    fs::write(&trusted, first.pem()).unwrap();
    let url = format!("https://localhost:{}/ready", address.port());
    let curl = Command::new("curl").args(["-sSf", "--cacert"]).arg(&trusted).arg(&url).output();
    let curl = curl.unwrap();
    assert!(curl.status.success(), "{}", String::from_utf8_lossy(&curl.stderr));

    // Who speaks no TLS, or nothing at all, is let go.
    let mut plain = TcpStream::connect(address).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut silent = TcpStream::connect(address).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = Vec::new();
    plain.read_to_end(&mut said).unwrap();
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0);

    // A key that fits nothing changes nothing.
    fs::write(directory.path().join("key.pem"), second.identity().key).unwrap();
    server.signal(Signal::HUP);
    server.stderr().wait_for_text("the certificates stay as they were");
    assert!(is_healthy(&mut connect(address, &first, None)));

    let next = second.identity();
    next.write(directory.path());
    server.signal(Signal::HUP);
    until("the new certificate", || is_healthy(&mut connect(address, &second, None)).then_some(()));
    assert!(is_healthy(&mut lasting), "the connection was dropped");
    assert!(!is_healthy(&mut connect(address, &first, None)));

    let secret = next.key.lines().nth(1).unwrap();
    assert!(!server.stderr().so_far().contains(secret));
}

#[test]
fn clients_need_a_certificate_where_an_authority_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (servers, clients) = (Authority::new(), Authority::new());
    servers.identity().write(directory.path());
    let authority = directory.path().join("clients.pem");
    fs::write(&authority, clients.pem()).unwrap();
    let launch = launch(directory.path()).flag("tls-client-ca", authority.to_str().unwrap());
    let server = launch.start();
    let address = server.address();
    assert!(is_healthy(&mut connect(address, &servers, Some(&clients.identity()))));
    assert!(!is_healthy(&mut connect(address, &servers, None)));
    assert!(!is_healthy(&mut connect(address, &servers, Some(&servers.identity()))));
}
