//! What PostgreSQL has of a run, asked in SQL: the database adds up, only sums per component come
//! back. It reads the tables and not the views, so that a mistake in a view cannot hide one here.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::sync::Mutex;

use crate::verify::Exactness;
use crate::verify::ledger::{Holding, Ledger};
use crate::verify::watch::Watch;

const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Storage that has not grown for so long is taken to be complete, or stuck.
const STANDSTILL: Duration = Duration::from_secs(30);

/// Samples that one query adds up: as many as it can sort in memory.
const SAMPLES_PER_QUERY: u64 = 2_000_000;

pub(super) const LEAF_BYTES: &str = "
    select coalesce(sum(pg_total_relation_size(relid)), 0)::bigint
    from pg_partition_tree(to_regclass('noetl.report')) where isleaf";

/// All about the components with names from $1 to $2 between the times $3 and $4.
const HOLDINGS: &str = "
    with slots as materialized (
        select slot.group_id, slot.slot, series.series_id, runtime_id
        from noetl.runtime runtime
        join noetl.series series using (runtime_id)
        join noetl.series_slot slot using (series_id)
        where runtime.name collate \"C\" between $1 and $2
    ),
    reports as (
        select report.group_id, report.ts, report.vals, report.offsets_us
        from (select distinct group_id from slots) own
        join noetl.report report using (group_id)
        where report.ts between 'epoch'::timestamptz + $3 * interval '1 microsecond'
                            and 'epoch'::timestamptz + $4 * interval '1 microsecond'
    ),
    samples as (
        select runtime_id, series_id, vals[slot + 1] as value,
               case when offsets_us is null then ts
                    else ts + coalesce(offsets_us[slot + 1], 0) * interval '1 microsecond'
               end as at
        from slots join reports using (group_id)
        where vals[slot + 1] is not null
        offset 0 -- so that single values are sorted, and not whole reports for each of them
    ),
    by_series as (
        select runtime_id, series_id, count(*) as samples, count(distinct at) as instants,
               min(at) as first, max(at) as last, sum((value * 8)::bigint) as eighths
        from samples group by series_id, runtime_id
    ),
    placed as (
        select by_series.*,
               row_number() over (
                   partition by runtime_id
                   order by metric_name collate \"C\", labels::text collate \"C\"
               ) as place
        from by_series join noetl.series using (series_id, runtime_id)
    )
    select name, count(*) as series, sum(samples)::bigint as samples,
           sum(instants)::bigint as instants,
           (extract(epoch from min(first)) * 1000000)::bigint as first_us,
           (extract(epoch from max(last)) * 1000000)::bigint as last_us,
           sum(eighths)::text as eighths, sum(eighths * place)::text as weighted
    from placed join noetl.runtime using (runtime_id) group by name";

/// A database in which reports are stored.
#[derive(Debug)]
pub(crate) struct Database {
    url: String,
    /// Kept from one wait to the next, so that a meter can leave it out.
    watch: Mutex<Watch>,
}

impl Database {
    /// The database at `url`; not asked yet.
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.trim().to_owned(), watch: Mutex::default() }
    }

    /// Bytes of all partitions of the reports with their indexes; 0 where there is no table yet.
    pub(crate) async fn report_bytes(&self) -> Result<i64> {
        let mut connection = self.connect().await?;
        let bytes = sqlx::query_scalar(LEAF_BYTES).fetch_one(&mut connection).await;
        bytes.context("read the size of the reports")
    }

    /// Waits until the last report of every connection is there. Returns false when `patience`
    /// ends before, or the tables have not grown for half a minute. Outlasts a database that is
    /// away.
    pub(crate) async fn wait_until_flushed(
        &self,
        ledger: &Ledger,
        patience: Duration,
    ) -> Result<bool> {
        let (names, times): (Vec<String>, Vec<i64>) = ledger.last_reports().into_iter().unzip();
        let deadline = Instant::now() + patience;
        let mut grown = (Instant::now(), 0);
        let mut watch = self.watch.lock().await;
        loop {
            let missing = match watch.missing(self, &names, &times).await {
                Ok((0, _)) => return Ok(true),
                Ok((missing, bytes)) => {
                    if bytes != grown.1 {
                        grown = (Instant::now(), bytes);
                    }
                    Ok(missing)
                }
                Err(error) => {
                    grown.0 = Instant::now();
                    Err(error)
                }
            };
            if Instant::now() >= deadline || grown.0.elapsed() >= STANDSTILL {
                return missing.map(|_| false);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The process of PostgreSQL that answers to [`Database::wait_until_flushed`]; what it uses is no work
    /// of the server that is measured.
    pub(crate) async fn watching(&self) -> Result<u32> {
        self.watch.lock().await.process(self).await
    }

    /// Compares all that the database has of a run with what was acknowledged.
    pub(crate) async fn check(&self, ledger: &Ledger) -> Result<Exactness> {
        let mut connection = self.connect().await?;
        let prepare = sqlx::query("set work_mem = '256MB'").execute(&mut connection).await;
        prepare.context("prepare the session for sorting")?;
        let mut exactness = Exactness::default();
        let (from_us, to_us) = ledger.time_range_us();
        let workers = ledger.workers();
        let queries = ledger.samples().div_ceil(SAMPLES_PER_QUERY).max(1);
        let step = u64::from(workers).div_ceil(queries) as u32;
        for first in (0..workers).step_by(step as usize) {
            let chunk = first..workers.min(first + step);
            let rows = sqlx::query(HOLDINGS)
                .bind(ledger.name(chunk.start))
                .bind(ledger.name(chunk.end - 1))
                .bind(from_us)
                .bind(to_us)
                .fetch_all(&mut connection)
                .await
                .context("add up what is stored")?;
            let stored = rows.iter().map(holding).collect::<Result<HashMap<_, _>>>()?;
            ledger.check(chunk, &stored, &mut exactness);
        }
        Ok(exactness)
    }

    pub(super) async fn connect(&self) -> Result<PgConnection> {
        let connection =
            tokio::time::timeout(Duration::from_secs(10), PgConnection::connect(&self.url));
        match connection.await {
            Ok(connection) => connection.context("connect to --database-url"),
            Err(_) => bail!("the database did not answer within 10 s: is --database-url right?"),
        }
    }
}

fn holding(row: &sqlx::postgres::PgRow) -> Result<(String, Holding)> {
    let count = |column| -> Result<u64> { Ok(u64::try_from(row.try_get::<i64, _>(column)?)?) };
    let sum = |column| -> Result<i128> {
        row.try_get::<String, _>(column)?.parse().context("read a sum of values")
    };
    let holding = Holding {
        series: count("series")?,
        samples: count("samples")?,
        distinct: count("instants")?,
        first_us: row.try_get("first_us")?,
        last_us: row.try_get("last_us")?,
        sum_eighths: sum("eighths")?,
        weighted_eighths: sum("weighted")?,
    };
    Ok((row.try_get("name")?, holding))
}
