//! Who PostgreSQL runs as: this process's own user, or an unprivileged one where that is root.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::EmbeddedError;

/// The users that PostgreSQL may run as when this process is root, best first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// All that PostgreSQL's programs see of this process's environment: its tokens and passwords
/// are none of their business, and `PG…` variables would change what they do.
const ENVIRONMENT: [&str; 2] = ["PATH", "LD_LIBRARY_PATH"];

/// The user that owns the cluster and runs its programs.
#[derive(Debug)]
pub(super) struct Account {
    name: String,
    uid: u32,
    gid: u32,
    /// Whether this process is root and becomes that user for PostgreSQL's programs.
    switched: bool,
}

impl Account {
    /// The account for the server's directory `home`, which may not exist yet. When this process
    /// is root, whoever owns it already stays its owner.
    pub(super) fn of(home: &Path) -> Result<Self, EmbeddedError> {
        let uid = rustix::process::geteuid();
        if !uid.is_root() {
            let gid = rustix::process::getegid().as_raw();
            let uid = uid.as_raw();
            return Ok(Self { name: uid.to_string(), uid, gid, switched: false });
        }
        match fs::symlink_metadata(home) {
            Ok(found) if found.uid() != 0 => {
                let (uid, gid) = (found.uid(), found.gid());
                return Ok(Self { name: format!("with id {uid}"), uid, gid, switched: true });
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(EmbeddedError::io("look at", home, error));
            }
            Ok(_) | Err(_) => {}
        }
        let passwd = Path::new("/etc/passwd");
        let users = fs::read_to_string(passwd)
            .map_err(|source| EmbeddedError::io("look for a user postgres in", passwd, source))?;
        Self::among(&users).ok_or(EmbeddedError::NoAccount)
    }

    /// The best unprivileged user in the lines of a passwd file.
    fn among(users: &str) -> Option<Self> {
        UNPRIVILEGED.iter().find_map(|wanted| {
            users.lines().find_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next().filter(|name| name == wanted)?;
                let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
                let gid = fields.next()?.parse().ok()?;
                Some(Self { name: name.to_owned(), uid, gid, switched: true })
            })
        })
    }

    /// A command that runs as this account: with no more environment than it needs, English
    /// messages, no input, and a process group of its own, so that Ctrl-C in a terminal ends
    /// this process first and PostgreSQL when its work is done.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC");
        command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        command.current_dir("/").stdin(Stdio::null()).process_group(0);
        if self.switched {
            // The standard library drops root's supplementary groups along with the user id.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Makes `dir` a directory that only this account (and root) may enter. Its parent exists.
    pub(super) fn make_private(&self, dir: &Path) -> Result<(), EmbeddedError> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(|source| EmbeddedError::io("create", dir, source))?,
        }
        let found = fs::symlink_metadata(dir)
            .map_err(|source| EmbeddedError::io("look at", dir, source))?;
        if !found.is_dir() {
            return Err(EmbeddedError::io("enter", dir, io::ErrorKind::NotADirectory));
        }
        // A directory that stands in /tmp may have been put there by anybody.
        let given = self.switched && found.uid() == 0;
        if found.uid() != self.uid && !given {
            let (owner, expected) = (found.uid(), self.uid);
            return Err(EmbeddedError::OtherOwner { dir: dir.to_owned(), owner, expected });
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
                .map_err(|source| EmbeddedError::io("make private", dir, source))?;
        }
        if given {
            lchown(dir, Some(self.uid), Some(self.gid))
                .map_err(|source| EmbeddedError::io("give to PostgreSQL's user", dir, source))?;
        }
        Ok(())
    }

    /// Fails when the account may not pass through `dir` and all that is above it.
    pub(super) fn require_way_to(&self, dir: &Path) -> Result<(), EmbeddedError> {
        let Some(dir) = self.switched.then(|| self.barred_on_the_way_to(dir)).transpose()? else {
            return Ok(());
        };
        match dir {
            Some(dir) => Err(EmbeddedError::Untraversable {
                dir: dir.to_owned(),
                account: self.name.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The uppermost directory on the way to `dir` (itself included) that it may not enter.
    fn barred_on_the_way_to<'a>(&self, dir: &'a Path) -> Result<Option<&'a Path>, EmbeddedError> {
        let mut barred = None;
        for dir in dir.ancestors() {
            let found =
                fs::metadata(dir).map_err(|source| EmbeddedError::io("look at", dir, source))?;
            let enter = match () {
                () if found.uid() == self.uid => 0o100,
                () if found.gid() == self.gid => 0o010,
                () => 0o001,
            };
            if found.mode() & enter == 0 {
                barred = Some(dir);
            }
        }
        Ok(barred)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_becomes_postgres_or_else_nobody() {
        let check = |users: &str, expected: Option<(&str, u32, u32)>| {
            let found = Account::among(users);
            let found = found.as_ref().map(|found| (found.name.as_str(), found.uid, found.gid));
            assert_eq!(found, expected, "{users:?}");
        };
        let nobody = "nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n";
        check(
            &format!("root:x:0:0::/root:/bin/bash\n{nobody}postgres:x:101:104::/:/bin/sh"),
            Some(("postgres", 101, 104)),
        );
        check(nobody, Some(("nobody", 65534, 65533)));
        check(&format!("postgres:x:0:0::/:/bin/sh\n{nobody}"), Some(("nobody", 65534, 65533)));
        check("postgres:x\nnobody:x:some:65534\npostgresql:x:7:7::/:/bin/sh", None);
        check("", None);
    }

    #[test]
    fn a_directory_that_the_account_may_not_enter_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let closed = dir.path().join("closed");
        let inner = closed.join("inner");
        fs::create_dir_all(&inner).unwrap();
        let open = |dir: &Path, mode| {
            fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
        };
        open(dir.path(), 0o755);
        let stranger = Account { name: "postgres".into(), uid: 4242, gid: 4242, switched: true };
        stranger.require_way_to(&inner).unwrap();
        open(&closed, 0o700);
        let error = stranger.require_way_to(&inner).unwrap_err().to_string();
        assert!(error.contains(&format!("chmod o+x {}`", closed.display())), "{error}");
        assert!(error.contains("user postgres") && error.contains("/var/lib/noetl-metrics"));
        let myself = Account { switched: false, ..stranger };
        myself.require_way_to(&inner).unwrap();
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let private = dir.path().join("private");
        let account = |uid| Account { name: "me".into(), uid, gid: 0, switched: false };
        account(uid).make_private(&private).unwrap();
        fs::set_permissions(&private, fs::Permissions::from_mode(0o755)).unwrap();
        account(uid).make_private(&private).unwrap();
        assert_eq!(fs::metadata(&private).unwrap().mode() & 0o777, 0o700);
        let error = account(uid + 1).make_private(&private).unwrap_err();
        assert!(matches!(error, EmbeddedError::OtherOwner { .. }), "{error}");
        std::os::unix::fs::symlink(&private, dir.path().join("link")).unwrap();
        let error = account(uid).make_private(&dir.path().join("link")).unwrap_err();
        assert!(error.to_string().contains("not a directory"), "{error}");
    }
}
