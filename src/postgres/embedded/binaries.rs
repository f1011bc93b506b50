//! Where PostgreSQL's programs are, and which of them fit a cluster.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{env, fs};

use tracing::warn;

use super::EmbeddedError;
use super::account::Account;

/// Where Debian and Ubuntu put the programs of each major version, as `<major>/bin`.
const PACKAGED: &str = "/usr/lib/postgresql";

/// One installed PostgreSQL.
#[derive(Debug)]
pub(super) struct Installation {
    bin_dir: PathBuf,
    major: u32,
}

impl Installation {
    /// The path of `initdb` or `postgres`.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }

    /// The installation to use: in `bin_dir` when given, else on PATH or packaged; for an
    /// existing cluster (its directory and major version) the one that made it.
    pub(super) async fn find(
        bin_dir: Option<&Path>,
        account: &Account,
        cluster: Option<(&Path, u32)>,
    ) -> Result<Self, EmbeddedError> {
        let (places, searched) = match bin_dir {
            Some(dir) => (vec![dir.to_owned()], dir.display().to_string()),
            None => (
                usual_places(env::var_os("PATH").as_deref(), Path::new(PACKAGED)),
                format!("PATH or {PACKAGED}/*/bin"),
            ),
        };
        let mut majors = Vec::new();
        for bin_dir in places {
            let Some(major) = major_of(&bin_dir, account).await? else { continue };
            if cluster.is_none_or(|(_, made_by)| made_by == major) {
                account.require_way_to(&bin_dir)?;
                return Ok(Self { bin_dir, major });
            }
            majors.push(major.to_string());
        }
        match cluster {
            Some((dir, made_by)) if !majors.is_empty() => Err(EmbeddedError::OtherVersion {
                dir: dir.to_owned(),
                cluster: made_by,
                installed: majors.join(", "),
            }),
            _ => Err(EmbeddedError::NoBinaries { searched }),
        }
    }

    /// The major version.
    pub(super) fn major(&self) -> u32 {
        self.major
    }
}

/// The directories to look in, best first: PATH as it stands, then the packaged, newest first.
fn usual_places(path: Option<&OsStr>, packaged: &Path) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = path
        .map(|path| env::split_paths(path).filter(|dir| dir.is_absolute()).collect())
        .unwrap_or_default();
    let mut majors: Vec<(u32, PathBuf)> = fs::read_dir(packaged)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    majors.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    places.extend(majors.into_iter().map(|(_, bin)| bin));
    places.retain(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file());
    places
}

/// The major version of the programs in `bin_dir`; `None` when there are none that run.
async fn major_of(bin_dir: &Path, account: &Account) -> Result<Option<u32>, EmbeddedError> {
    let postgres = bin_dir.join("postgres");
    if !postgres.is_file() || !bin_dir.join("initdb").is_file() {
        return Ok(None);
    }
    let output = account
        .command(&postgres)
        .arg("--version")
        .output()
        .await
        .map_err(|source| EmbeddedError::io("run", &postgres, source))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let major = parse_version(&said);
    if major.is_none() {
        warn!("{} does not tell its version and is passed over: {said:?}", postgres.display());
    }
    Ok(major)
}

/// The major version in what `postgres --version` says.
fn parse_version(said: &str) -> Option<u32> {
    major(said.strip_prefix("postgres (PostgreSQL) ")?)
}

/// The number that a version begins with.
pub(super) fn major(version: &str) -> Option<u32> {
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_releases_and_previews() {
        let check = |said: &str, expected| assert_eq!(parse_version(said), expected, "{said:?}");
        check("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n", Some(15));
        check("postgres (PostgreSQL) 18beta1\n", Some(18));
        check("postgres (PostgreSQL) 9.6.24", Some(9));
        check("postgres (PostgreSQL) devel", None);
        check("sh: postgres: not found", None);
        check("", None);
    }

    #[test]
    fn path_comes_first_and_then_the_newest_package() {
        let root = tempfile::tempdir().unwrap();
        let make = |dir: &str, programs: &[&str]| {
            let dir = root.path().join(dir);
            fs::create_dir_all(&dir).unwrap();
            for program in programs {
                fs::write(dir.join(program), "").unwrap();
            }
            dir
        };
        let both = ["initdb", "postgres"];
        let on_path = make("own", &both);
        let client_only = make("client", &["psql", "postgres"]);
        let (nine, fifteen) = (make("packaged/9/bin", &both), make("packaged/15/bin", &both));
        make("packaged/17/bin", &["psql"]);
        make("packaged/common/bin", &both);
        let path = env::join_paths([client_only, "relative".into(), on_path.clone()]).unwrap();
        let found = usual_places(Some(&path), &root.path().join("packaged"));
        assert_eq!(found, [on_path, fifteen, nine]);
        assert!(usual_places(None, &root.path().join("absent")).is_empty());
    }
}
