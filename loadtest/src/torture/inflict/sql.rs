//! Faults that are done in SQL.

use anyhow::{Context as _, Result, ensure};
use sqlx::{Connection as _, PgConnection};

use super::{Cure, Scene, Wound};
use crate::torture::proxy::Traffic;

/// The server's sessions.
const ITS_SESSIONS: &str = "application_name = 'noetl-metrics'";

/// On a network so slow a COPY takes long enough to be met.
const SLOW_BYTES_PER_S: usize = 60_000;

/// Ends the session that copies as soon as there is one. A loop in the server is quicker than
/// one from outside.
const TERMINATE_COPY: &str = "
    do $$
    declare found int;
    begin
        for attempt in 1..20000 loop
            perform pg_stat_clear_snapshot();
            select activity.pid into found
              from pg_stat_activity activity join pg_stat_progress_copy copy using (pid)
             where application_name = 'noetl-metrics' and copy.bytes_processed > 0 limit 1;
            if found is not null then
                perform pg_terminate_backend(found);
                perform set_config('torture.ended', found::text, false);
                return;
            end if;
            perform pg_sleep(0.001);
        end loop;
    end $$";

impl Scene<'_> {
    pub(super) async fn forbid_writing(&mut self) -> Result<Wound> {
        self.set_read_only("alter system set default_transaction_read_only = on").await?;
        self.until("transactions are read-only", async |scene| {
            Ok(scene.refusal().await?.filter(|code| code == "25006"))
        })
        .await?;
        Ok(Wound::new("a new table is refused with 25006", Cure::AllowWriting))
    }

    pub(super) async fn allow_writing(&mut self) -> Result<()> {
        // Another fault at the same time may have ended PostgreSQL.
        self.world.postgres.bring_back(super::POSTGRES_LIMIT).await?;
        self.set_read_only("alter system reset default_transaction_read_only").await?;
        self.until("transactions may write", async |scene| {
            Ok(scene.refusal().await?.is_none().then_some(()))
        })
        .await
    }

    async fn set_read_only(&self, statement: &'static str) -> Result<()> {
        let mut admin = self.world.postgres.connect().await?;
        for statement in [statement, "select pg_reload_conf()"] {
            sqlx::query(statement)
                .execute(&mut admin)
                .await
                .with_context(|| statement.to_owned())?;
        }
        admin.close().await.context("close the session")
    }

    /// Why a new table is refused, as a SQLSTATE; `None` when it is not.
    async fn refusal(&self) -> Result<Option<String>> {
        let mut session = self.world.postgres.connect().await?;
        let made =
            sqlx::query("create table if not exists torture_probe ()").execute(&mut session).await;
        let code = |error: sqlx::Error| {
            error.as_database_error().and_then(|error| Some(error.code()?.into_owned()))
        };
        Ok(made.err().map(|error| code(error).unwrap_or_else(|| "no answer".to_owned())))
    }

    /// Takes every connection, ends the server's, and takes those too.
    pub(super) async fn take_connections(&mut self) -> Result<Wound> {
        let mut admin = self.world.postgres.connect().await?;
        let mut taken = Vec::new();
        let left = self
            .until("the server has no session", async |scene| {
                while let Some(session) = scene.try_session().await? {
                    taken.push(session);
                }
                let statement = format!(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity
                      where {ITS_SESSIONS}"
                );
                let ended: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
                    .fetch_one(&mut admin)
                    .await
                    .context("end the server's sessions")?;
                Ok((ended == 0).then_some(taken.len()))
            })
            .await?;
        taken.push(admin);
        let evidence = format!("{} sessions are taken and the server has none", left + 1);
        Ok(Wound::new(evidence, Cure::Release(taken)))
    }

    /// One more session; `None` when there are too many (SQLSTATE 53300).
    async fn try_session(&self) -> Result<Option<PgConnection>> {
        match PgConnection::connect(&self.world.postgres.url).await {
            Ok(session) => Ok(Some(session)),
            Err(error) => {
                let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
                ensure!(code.as_deref() == Some("53300"), "connect to PostgreSQL: {error}");
                Ok(None)
            }
        }
    }

    /// Ends the session that copies while it copies.
    pub(super) async fn terminate_copy(&mut self) -> Result<Wound> {
        if let Some(proxy) = &self.world.proxy {
            proxy.set(Traffic::Slow(SLOW_BYTES_PER_S));
        } else {
            self.call_burst()?;
        }
        let mut admin = self.world.postgres.connect().await?;
        let ended: Option<String> = self
            .until("a COPY is met", async |_| {
                sqlx::raw_sql(TERMINATE_COPY).execute(&mut admin).await.context("end a COPY")?;
                sqlx::query_scalar("select nullif(current_setting('torture.ended', true), '')")
                    .fetch_one(&mut admin)
                    .await
                    .context("ask which COPY was ended")
            })
            .await
            .map(Some)?;
        admin.close().await.context("close the session")?;
        self.let_flow()?;
        let pid = ended.unwrap_or_default();
        Ok(Wound::new(format!("backend {pid} was ended in its COPY"), Cure::Nothing))
    }
}
