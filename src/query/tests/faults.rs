//! What happens when PostgreSQL is slow, occupied, away or not as it should be.

use std::time::Duration;

use jiff::tz::TimeZone;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor, PgPool};

use super::fixture::{Fixture, LONG, Series, noon};
use crate::model::MetricType::Gauge;
use crate::postgres::connect;
use crate::query::{Filter, Queries, QueryError};

async fn one_sample() -> Fixture {
    let mut fixture = Fixture::new(&[Series(1, 0, "t/w", "a", Gauge, &[])]).await;
    fixture.write(1, noon(0), &[1.0]).await;
    fixture
}

fn anything() -> Filter {
    Filter::parse("", &TimeZone::UTC).unwrap()
}

fn impatient(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_millis(200))
        .connect_lazy_with(options)
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_told_apart() {
    let mut fixture = one_sample().await;
    let options = fixture.database.options.clone().options([("statement_timeout", "100ms")]);
    let queries = Queries::new(impatient(options), LONG);
    fixture.conn.execute("BEGIN; LOCK TABLE noetl.report").await.unwrap();
    let error = queries.query(&anything()).await.unwrap_err();
    assert!(matches!(error, QueryError::TimedOut), "{error}");
    assert_eq!((error.code(), error.is_transient()), ("query_timed_out", true));
    fixture.conn.execute("ROLLBACK").await.unwrap();
    assert_eq!(queries.query(&anything()).await.unwrap().count, 1, "the connection goes on");
}

#[tokio::test]
async fn one_query_more_than_there_are_connections_is_refused_at_once() {
    let mut fixture = one_sample().await;
    let queries = Queries::new(connect::query_pool(&fixture.database.options, 1, LONG), LONG);
    fixture.conn.execute("BEGIN; LOCK TABLE noetl.report").await.unwrap();
    let filter = anything();
    let first = queries.query(&filter);
    let second = async {
        wait_until_somebody_waits(&mut fixture).await;
        let error = queries.query(&filter).await.unwrap_err();
        fixture.conn.execute("ROLLBACK").await.unwrap();
        error
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.unwrap().count, 1);
    assert!(matches!(second, QueryError::Busy { connections: 1 }), "{second}");
    assert_eq!(queries.query(&filter).await.unwrap().count, 1, "the permit came back");
}

async fn wait_until_somebody_waits(fixture: &mut Fixture) {
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    loop {
        let waits: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = database
                             WHERE datname = current_database() AND NOT granted)",
        )
        .fetch_one(&mut fixture.conn)
        .await
        .unwrap();
        if waits {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "the first query never came to the table");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_unavailable() {
    let away = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1);
    let queries = Queries::new(impatient(away), LONG);
    for error in
        [queries.query(&anything()).await.unwrap_err(), queries.components(None).await.unwrap_err()]
    {
        assert!(matches!(error, QueryError::Unavailable(_)), "{error}");
        assert_eq!((error.code(), error.is_transient()), ("database_unavailable", true));
    }
}

#[tokio::test]
async fn a_schema_that_was_damaged_is_a_failure() {
    let mut fixture = one_sample().await;
    fixture.conn.execute("DROP TABLE noetl.series_slot CASCADE").await.unwrap();
    let error = fixture.ask("").await.unwrap_err();
    assert!(matches!(error, QueryError::Failed(_)), "{error}");
    assert_eq!((error.code(), error.is_transient()), ("query_failed", false));
}
