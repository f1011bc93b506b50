//! The file of tokens, read at the start and at each SIGHUP.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::access::{Gate, TokenFileError, TokenTable};
use crate::config::Settings;

/// Bytes of the file at most.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The file of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileFailed {
    /// It cannot be read.
    #[error("read the tokens of {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A line of it is wrong.
    #[error("read the tokens of {}, {source}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Which line, and what is wrong with it.
        source: TokenFileError,
    },
}

/// The gate that the configuration wants.
pub(super) fn gate(settings: &Settings) -> Result<Gate, TokenFileFailed> {
    let Some(file) = &settings.token_file else {
        if settings.listen.ip().is_loopback() {
            tracing::info!("no token file: everybody on this host may report, read and administer");
        } else {
            tracing::warn!(
                listen = %settings.listen,
                "allow-anonymous: everybody who reaches this address may report, read and drop \
                 partitions"
            );
        }
        return Ok(Gate::open());
    };
    let table = read_table(file)?;
    if table.is_empty() {
        tracing::warn!(
            file = %file.display(),
            "the token file is empty, so nobody is let in; make a token by `noetl-metrics token \
             create` and send SIGHUP"
        );
    }
    tracing::info!(tokens = table.len(), "callers need a token");
    Ok(Gate::with_tokens(table))
}

/// Reads the tokens again. A file that cannot be used changes nothing.
pub(super) fn reload(gate: &Gate, settings: &Settings) {
    let Some(file) = &settings.token_file else { return };
    match read_table(file) {
        Ok(table) => {
            tracing::info!(tokens = table.len(), "the tokens were read again");
            gate.replace(table);
        }
        Err(error) => tracing::error!(%error, "the tokens stay as they were"),
    }
}

/// The tokens of a file.
pub(super) fn read_table(path: &Path) -> Result<TokenTable, TokenFileFailed> {
    let wrong = |source| TokenFileFailed::Wrong { path: path.to_owned(), source };
    TokenTable::parse(&read_text(path)?).map_err(wrong)
}

/// A file of tokens as it stands there.
pub(super) fn read_text(path: &Path) -> Result<String, TokenFileFailed> {
    let mut text = String::new();
    let read = File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .and_then(|bytes| match bytes as u64 > FILE_BYTES_MAX {
            true => Err(io::Error::other("it has more than 16 MiB")),
            false => Ok(()),
        });
    read.map_err(|source| TokenFileFailed::Read { path: path.to_owned(), source })?;
    Ok(text)
}
