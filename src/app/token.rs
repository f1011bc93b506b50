//! The commands of the tokens: create, list, revoke.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::access::{self, TokenFileFailed};
use super::command::{Outcome, unless_closed};
use crate::access::{FileChange, Grant, Token, add, remove};
use crate::config::{OutputForm, TokenAction};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] TokenFileFailed),
    /// The file cannot be changed in that way.
    #[error("{}: {source}", path.display())]
    Change {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: FileChange,
    },
    /// Another command is at work, or died at it.
    #[error(
        "{} exists: another command is changing the tokens; if none is, remove that file",
        path.display()
    )]
    Busy {
        /// What the new file is called until it is complete.
        path: PathBuf,
    },
    /// The new file cannot be written.
    #[error("write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There are no random bytes to make a token of.
    #[error("read random bytes: {0}")]
    Random(getrandom::Error),
    /// The output cannot be written.
    #[error("write the output: {0}")]
    Output(#[from] io::Error),
}

/// Does what `action` says with the tokens of `file` and prints to `out`.
pub fn run(file: &Path, action: TokenAction, out: &mut impl Write) -> Result<Outcome, TokenError> {
    let done = match action {
        TokenAction::Create(grant) => create(file, &grant, out),
        TokenAction::List(form) => list(file, form, out),
        TokenAction::Revoke(name) => change(file, |text| remove(text, &name)),
    };
    unless_closed(done.map(|()| Outcome::Done), |error| match error {
        TokenError::Output(error) => Some(error),
        _ => None,
    })
}

fn create(file: &Path, grant: &Grant, out: &mut impl Write) -> Result<(), TokenError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(TokenError::Random)?;
    let token = Token::new(secret);
    change(file, |text| add(text, grant, &token.hash()))?;
    Ok(writeln!(out, "{}", token.reveal())?)
}

fn list(file: &Path, form: OutputForm, out: &mut impl Write) -> Result<(), TokenError> {
    let table = access::read_table(file)?;
    let width = table.grants().map(|grant| grant.name.as_str().len()).max().unwrap_or(0);
    for Grant { name, scopes, components, rate } in table.grants() {
        let rate = rate.as_ref().map(|rate| rate.per_second());
        let patterns: Vec<_> = components.iter().map(ToString::to_string).collect();
        match form {
            OutputForm::Json => {
                let scopes = scopes.to_string();
                let scopes: Vec<_> = scopes.split(',').collect();
                let line = json!({
                    "name": name.as_str(), "scopes": scopes, "components": patterns,
                    "samples_per_second": rate,
                });
                writeln!(out, "{line}")?;
            }
            OutputForm::Text => {
                let bound = if patterns.is_empty() { "any" } else { &patterns.join(",") };
                let (name, scopes) = (name.as_str(), scopes.to_string());
                let rate = rate.map_or(String::new(), |rate| format!("  {rate} samples/s"));
                writeln!(out, "{name:width$}  {scopes:16}  {bound}{rate}")?;
            }
        }
    }
    Ok(())
}

/// Puts a changed file in the place of the one that is there. Whoever reads it meanwhile finds
/// the one or the other, and two commands never lose each other's change.
fn change(
    file: &Path,
    change: impl FnOnce(&str) -> Result<String, FileChange>,
) -> Result<(), TokenError> {
    // A link stays one.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut path = file.clone().into_os_string();
    path.push(".new");
    let path = PathBuf::from(path);
    let mut options = OpenOptions::new();
    // That it may not exist yet is what keeps other commands out.
    let opened = options.write(true).create_new(true).mode(0o600).open(&path);
    let mut new = opened.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => TokenError::Busy { path: path.clone() },
        _ => TokenError::Write { path: path.clone(), source },
    })?;
    let changed = rewrite(&mut new, &file, change).and_then(|()| {
        fs::rename(&path, &file).map_err(|source| TokenError::Write { path: file.clone(), source })
    });
    if changed.is_err() {
        // What made the command fail is worth more than that this fails as well.
        drop(fs::remove_file(&path));
    }
    changed
}

fn rewrite(
    new: &mut File,
    file: &Path,
    change: impl FnOnce(&str) -> Result<String, FileChange>,
) -> Result<(), TokenError> {
    let text = match access::read_text(file) {
        Err(TokenFileFailed::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            String::new()
        }
        text => text?,
    };
    let path = || file.to_owned();
    let text = change(&text).map_err(|source| TokenError::Change { path: path(), source })?;
    write(new, file, &text).map_err(|source| TokenError::Write { path: path(), source })
}

fn write(new: &mut File, old: &Path, text: &str) -> io::Result<()> {
    if let Ok(old) = fs::metadata(old) {
        // Who could read it goes on to.
        new.set_permissions(Permissions::from_mode(old.mode() & 0o777))?;
        fchown(&*new, Some(old.uid()), Some(old.gid()))?;
    }
    new.write_all(text.as_bytes())?;
    new.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::access::{Pattern, SampleRate, Scopes, TokenName};

    fn grant(name: &str) -> Grant {
        Grant {
            name: TokenName::new(name).unwrap(),
            scopes: Scopes::parse("write,read").unwrap(),
            components: [Pattern::new("worker-*").unwrap()].into(),
            rate: None,
        }
    }

    fn said(file: &Path, action: TokenAction) -> String {
        let mut out = Vec::new();
        assert_eq!(run(file, action, &mut out).unwrap(), Outcome::Done);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_token_is_printed_once_and_only_its_hash_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tokens");
        let token = said(&file, TokenAction::Create(grant("one")));
        assert!(token.starts_with("noetl_") && token.ends_with('\n'), "{token}");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("one sha256:") && !text.contains(token.trim()), "{text}");
        let listed = said(&file, TokenAction::List(OutputForm::Text));
        assert_eq!(listed, "one  write,read        worker-*\n");
        let listed = said(&file, TokenAction::List(OutputForm::Json));
        assert_eq!(
            listed,
            "{\"components\":[\"worker-*\"],\"name\":\"one\",\"samples_per_second\":null,\
             \"scopes\":[\"write\",\"read\"]}\n"
        );
        let rate = Some(Arc::new(SampleRate::new(500).unwrap()));
        let other = said(&file, TokenAction::Create(Grant { rate, ..grant("two") }));
        assert_ne!(token, other);
        said(&file, TokenAction::Revoke(TokenName::new("one").unwrap()));
        let names = said(&file, TokenAction::List(OutputForm::Text));
        assert_eq!(names, "two  write,read        worker-*  500 samples/s\n");
    }

    #[test]
    fn a_file_keeps_who_may_read_it_and_a_failure_leaves_it_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tokens");
        said(&file, TokenAction::Create(grant("one")));
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        said(&file, TokenAction::Create(grant("two")));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        let before = fs::read_to_string(&file).unwrap();
        let fails = |action| run(&file, action, &mut Vec::new()).unwrap_err().to_string();
        assert!(fails(TokenAction::Create(grant("two"))).contains("choose another"));
        let absent = TokenName::new("three").unwrap();
        assert!(fails(TokenAction::Revoke(absent)).contains("no token of this name"));
        assert_eq!(fs::read_to_string(&file).unwrap(), before);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::write(directory.path().join("tokens.new"), "").unwrap();
        assert!(fails(TokenAction::Create(grant("three"))).contains("another command"));
        assert_eq!(fs::read_to_string(&file).unwrap(), before);
    }
}
