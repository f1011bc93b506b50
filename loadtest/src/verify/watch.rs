//! The session that looks whether reports have come to the tables.

use anyhow::{Context as _, Result};
use sqlx::PgConnection;

use crate::verify::postgres::{Database, LEAF_BYTES};

/// How many of the reports named are there.
const REPORTS_PRESENT: &str = "
    with wanted as (select * from unnest($1::text[], $2::bigint[]) as w(name, at_us)),
    groups as (
        select distinct wanted.name, wanted.at_us, slot.group_id
        from wanted
        join noetl.runtime runtime on runtime.name = wanted.name
        join noetl.series series using (runtime_id)
        join noetl.series_slot slot using (series_id)
    )
    select count(distinct groups.name)
    from groups
    join noetl.report report on report.group_id = groups.group_id
     and report.ts = 'epoch'::timestamptz + groups.at_us * interval '1 microsecond'";

/// In one process, whose use of the processor is then all that looking takes.
const ALONE: &str = "set max_parallel_workers_per_gather = 0";

/// A session that is opened when it is needed, and again where it broke.
#[derive(Debug, Default)]
pub(super) struct Watch(Option<Session>);

#[derive(Debug)]
struct Session {
    connection: PgConnection,
    process: u32,
}

impl Watch {
    /// The process that looks.
    pub(super) async fn process(&mut self, database: &Database) -> Result<u32> {
        Ok(self.session(database).await?.process)
    }

    /// How many of the reports named are not there yet, and the bytes of the tables.
    pub(super) async fn missing(
        &mut self,
        database: &Database,
        names: &[String],
        times: &[i64],
    ) -> Result<(usize, i64)> {
        let looked = self.look(database, names, times).await;
        if looked.is_err() {
            self.0 = None;
        }
        looked
    }

    async fn look(
        &mut self,
        database: &Database,
        names: &[String],
        times: &[i64],
    ) -> Result<(usize, i64)> {
        let connection = &mut self.session(database).await?.connection;
        let bytes: i64 = sqlx::query_scalar(LEAF_BYTES).fetch_one(&mut *connection).await?;
        let present: i64 = sqlx::query_scalar(REPORTS_PRESENT)
            .bind(names)
            .bind(times)
            .fetch_one(&mut *connection)
            .await
            .context("look for the last reports")?;
        Ok((names.len().saturating_sub(usize::try_from(present)?), bytes))
    }

    async fn session(&mut self, database: &Database) -> Result<&mut Session> {
        if self.0.is_none() {
            let mut connection = database.connect().await?;
            sqlx::query(ALONE).execute(&mut connection).await.context("prepare to look")?;
            let process: i32 = sqlx::query_scalar("select pg_backend_pid()")
                .fetch_one(&mut connection)
                .await
                .context("ask for the process")?;
            self.0 = Some(Session { connection, process: u32::try_from(process)? });
        }
        self.0.as_mut().context("there is a session")
    }
}
