//! What PostgreSQL holds, asked by SQL as anybody would ask.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection};
use tokio::runtime::Runtime;

/// A connection that waits for its answers.
pub(crate) struct Sql {
    runtime: Runtime,
    connection: PgConnection,
}

impl Sql {
    /// Connects to `url`.
    pub(crate) fn open(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(PgConnection::connect(url)).unwrap();
        Self { runtime, connection }
    }

    /// The rows of an answer; a row of one column is `(T,)`.
    pub(crate) fn rows<T>(&mut self, statement: &str) -> Vec<T>
    where
        T: for<'row> FromRow<'row, PgRow> + Send + Unpin,
    {
        let query = sqlx::query_as(AssertSqlSafe(statement.to_owned()));
        self.runtime.block_on(query.fetch_all(&mut self.connection)).unwrap()
    }

    /// The one row of an answer.
    pub(crate) fn row<T>(&mut self, statement: &str) -> T
    where
        T: for<'row> FromRow<'row, PgRow> + Send + Unpin,
    {
        let mut rows = self.rows(statement);
        assert_eq!(rows.len(), 1, "{statement}");
        rows.remove(0)
    }

    /// Executes statements that answer nothing.
    pub(crate) fn run(&mut self, statements: &str) {
        let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
        self.runtime.block_on(statements.execute(&mut self.connection)).unwrap();
    }

    /// How many samples the component has, and how many different ones by series and time.
    pub(crate) fn samples_of(&mut self, component: &str) -> (i64, i64) {
        self.row(&format!(
            "SELECT count(*), count(DISTINCT (metric_name, labels, \"timestamp\"))
               FROM noetl.metrics WHERE component_name = '{component}'"
        ))
    }
}
