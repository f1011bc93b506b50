//! A server and its database, in a directory of their own: what faults are done to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde::Serialize;
use sqlx::Connection as _;

use crate::torture::cluster::{self, OwnCluster};
use crate::torture::disk::SmallDisk;
use crate::torture::fault::Means;
use crate::torture::postgres::{Postgres, Runner};
use crate::torture::process;
use crate::torture::proxy::Proxy;
use crate::torture::server::Server;

/// The first start makes a cluster, on a machine that may be busy.
const FIRST_START: Duration = Duration::from_secs(120);

const SMALL_DISK_MIB: u32 = 256;
const LOG_DISK_MIB: u32 = 64;

/// The small disks of a world.
#[derive(Debug)]
pub(crate) struct Disks {
    /// That of the tables, a tablespace.
    pub(crate) tables: SmallDisk,
    /// That of the rest of the cluster, PostgreSQL's own log above all.
    pub(crate) wal: SmallDisk,
    /// That of the server's log.
    pub(crate) log: SmallDisk,
}

impl Disks {
    /// Leaves them mounted for a person to look at.
    pub(crate) fn keep(&mut self) {
        for disk in [&mut self.tables, &mut self.wal, &mut self.log] {
            disk.keep();
        }
    }
}

/// Which PostgreSQL a world has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The server's own.
    Embedded,
    /// One of the tool's, on TCP behind a proxy, on small disks.
    Proxied,
    /// One of somebody else, behind a proxy.
    Foreign,
}

/// A world.
#[derive(Debug)]
pub(crate) struct World {
    /// Which PostgreSQL it has.
    pub(crate) kind: Kind,
    /// The server.
    pub(crate) server: Server,
    /// Its database.
    pub(crate) postgres: Postgres,
    /// What stands between them.
    pub(crate) proxy: Option<Proxy>,
    /// Where they can be mounted.
    pub(crate) disks: Option<Disks>,
    /// Why there are no disks.
    pub(crate) without_disks: Option<String>,
}

impl World {
    /// A server with an embedded PostgreSQL, and with so much disk space for its log.
    pub(crate) async fn embedded(binary: &Path, dir: &Path, budget_mib: u32) -> Result<Self> {
        std::fs::create_dir_all(dir).context("create the server's directory")?;
        let data_dir = dir.join("data");
        let mut server = Server::new(
            binary,
            flags(&data_dir, "4MiB", &format!("{budget_mib}MiB")),
            None,
            dir.join("server.log"),
        )?;
        server.start(FIRST_START).await.with_context(|| server.last_words())?;
        let data = data_dir.join("postgres/data").canonicalize().context("find the cluster")?;
        let url = database_url(binary, &data_dir)?;
        let postgres = Postgres { url, data: Some(data), runner: Runner::Server };
        let kind = Kind::Embedded;
        Ok(Self { kind, server, postgres, proxy: None, disks: None, without_disks: None })
    }

    /// A server behind a proxy, with a PostgreSQL of ours, both on small disks.
    pub(crate) async fn proxied(binary: &Path, dir: &Path) -> Result<Self> {
        let at = |name: &str| -> PathBuf { dir.join(name) };
        let (disks, without_disks) = match mount(dir) {
            Ok(disks) => (Some(disks), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        let mut own = OwnCluster::make(&at("cluster")).await?;
        own.give(&at("tables/space"))?;
        own.run().await?;
        let url_of = |authority: &str, database: &str| {
            format!("postgres://{}@{authority}/{database}?sslmode=disable", cluster::NAME)
        };
        let authority = own.authority();
        let data = Some(own.data().to_owned());
        let maintenance = url_of(&authority, "postgres");
        let runner = Runner::Torturer(Box::new(own));
        let mut postgres = Postgres { url: maintenance, data, runner };
        postgres.bring_back(FIRST_START).await?;
        let mut admin = postgres.connect().await?;
        let space = at("tables/space");
        for statement in [
            format!("create tablespace tables location '{}'", space.display()),
            format!("create database {} tablespace tables", cluster::NAME),
        ] {
            let statement = sqlx::AssertSqlSafe(statement);
            sqlx::query(statement).execute(&mut admin).await.context("make the database")?;
        }
        admin.close().await.context("close the session")?;
        postgres.url = url_of(&authority, cluster::NAME);
        let proxy = Proxy::start(authority)?;
        let url = url_of(&proxy.address().to_string(), cluster::NAME);
        // A full disk shows sooner where segments are small.
        let flags = flags(&at("data"), "1MiB", "48MiB");
        let mut server = Server::new(binary, flags, Some(url), at("server.log"))?;
        server.start(FIRST_START).await.with_context(|| server.last_words())?;
        let kind = Kind::Proxied;
        Ok(Self { kind, server, postgres, proxy: Some(proxy), disks, without_disks })
    }

    /// A server behind a proxy, with the PostgreSQL at `url`.
    pub(crate) async fn foreign(binary: &Path, dir: &Path, url: &str) -> Result<Self> {
        std::fs::create_dir_all(dir).context("create the server's directory")?;
        let (before, authority, after) = split(url)?;
        let proxy = Proxy::start(authority.to_owned())?;
        let through = format!("{before}{}{after}", proxy.address());
        let log = dir.join("server.log");
        let mut server =
            Server::new(binary, flags(&dir.join("data"), "4MiB", "256MiB"), Some(through), log)?;
        server.start(FIRST_START).await.with_context(|| server.last_words())?;
        let postgres = Postgres { url: url.to_owned(), data: None, runner: Runner::Stranger };
        let (kind, proxy) = (Kind::Foreign, Some(proxy));
        Ok(Self { kind, server, postgres, proxy, disks: None, without_disks: None })
    }

    /// What can be done to it.
    pub(crate) async fn means(&self) -> Result<Means> {
        let mut connection = self.postgres.connect().await?;
        let superuser = sqlx::query_scalar("select rolsuper from pg_roles where rolname = user")
            .fetch_one(&mut connection)
            .await
            .context("ask what the role may do")?;
        connection.close().await.context("close the session")?;
        Ok(Means {
            processes: self.postgres.data.is_some(),
            superuser,
            disks: self.disks.is_some(),
            proxy: self.proxy.is_some(),
            embedded: self.kind == Kind::Embedded,
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The server would start its PostgreSQL again.
        if let Err(error) = self.server.signal_if_running(Signal::KILL) {
            eprintln!("loadtest: cannot end the server: {error:#}");
        }
        if let (Runner::Server, Some(data)) = (&self.postgres.runner, &self.postgres.data) {
            process::end_cluster(data);
        }
    }
}

fn flags(data_dir: &Path, segment: &str, budget: &str) -> Vec<String> {
    vec![
        format!("--data-dir={}", data_dir.display()),
        format!("--log-segment-bytes={segment}"),
        format!("--log-budget-bytes={budget}"),
        "--body-bytes-max=256KiB".to_owned(),
        "--drain-timeout=5s".to_owned(),
    ]
}

fn mount(dir: &Path) -> Result<Disks> {
    Ok(Disks {
        tables: SmallDisk::mount(&dir.join("tables"), SMALL_DISK_MIB)?,
        wal: SmallDisk::mount(&dir.join("cluster"), SMALL_DISK_MIB)?,
        log: SmallDisk::mount(&dir.join("data"), LOG_DISK_MIB)?,
    })
}

/// A URL before, at and behind its host and port.
fn split(url: &str) -> Result<(&str, &str, &str)> {
    let start = url.find("://").context("--database-url has no ://")? + 3;
    let end = url[start..].find('/').context("--database-url names no database")? + start;
    let start = url[start..end].rfind('@').map_or(start, |at| start + at + 1);
    anyhow::ensure!(
        url[start..end].contains(':'),
        "--database-url names no host and port; a proxy stands before TCP only"
    );
    Ok((&url[..start], &url[start..end], &url[end..]))
}

/// The address of the embedded database, as the server's own command prints it.
fn database_url(binary: &Path, data_dir: &Path) -> Result<String> {
    let output = std::process::Command::new(binary)
        .args(["database-url", "--data-dir"])
        .arg(data_dir)
        .env_remove("DATABASE_URL")
        .output()
        .context("ask for the database's address")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "database-url failed: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_at_host_and_port() {
        let check = |url: &str, expected: Option<(&str, &str, &str)>| {
            assert_eq!(split(url).ok(), expected, "{url}");
        };
        check("postgres://u:p%40@h:1/d?x=1", Some(("postgres://u:p%40@", "h:1", "/d?x=1")));
        check("postgres://h:1/d", Some(("postgres://", "h:1", "/d")));
        check("postgres://h/d", None);
        check("postgres:///d?host=/run", None);
        check("h:1/d", None);
    }
}
