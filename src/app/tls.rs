//! The files of TLS, read at the start and at each SIGHUP.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::http::{Tls, TlsError, TlsTexts};

/// TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsFailed {
    /// A file cannot be read.
    #[error("read {}, the file of {key}: {source}", path.display())]
    Read {
        /// The setting.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The files cannot be used.
    #[error(transparent)]
    Unusable(#[from] TlsError),
}

/// TLS as the configuration wants it.
pub(super) fn start(settings: &Settings) -> Result<Option<Tls>, TlsFailed> {
    let Some(texts) = read(settings)? else {
        if settings.token_file.is_some() && !settings.listen.ip().is_loopback() {
            tracing::warn!(
                "tokens cross the network in plain text; name tls-cert and tls-key, or have a \
                 proxy on this host speak TLS"
            );
        }
        return Ok(None);
    };
    Ok(Some(Tls::new(&texts)?))
}

/// Reads the files again. Files that cannot be used change nothing.
pub(super) fn reload(tls: &Tls, settings: &Settings) {
    let replaced = read(settings).and_then(|texts| match texts {
        Some(texts) => Ok(tls.replace(&texts)?),
        None => Ok(()),
    });
    match replaced {
        Ok(()) => tracing::info!("the certificates were read again"),
        Err(error) => tracing::error!(%error, "the certificates stay as they were"),
    }
}

fn read(settings: &Settings) -> Result<Option<TlsTexts>, TlsFailed> {
    let (Some(certificate), Some(key)) = (&settings.tls_cert, &settings.tls_key) else {
        return Ok(None);
    };
    let authorities = settings.tls_client_ca.as_deref();
    Ok(Some(TlsTexts {
        certificates: text("tls-cert", certificate)?,
        key: text("tls-key", key)?,
        client_authorities: authorities.map(|path| text("tls-client-ca", path)).transpose()?,
    }))
}

fn text(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsFailed> {
    fs::read(path).map_err(|source| TlsFailed::Read { key, path: path.to_owned(), source })
}
