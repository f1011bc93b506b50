//! A database with a few components and samples, written as the flush writes them.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::Value;
use sqlx::PgConnection;

use crate::model::{
    ComponentKey, GroupId, LogPosition, MetricType, NodeNumber, PartitionInterval, ReportId,
    RuntimeId, Slot, Timestamp, series,
};
use crate::postgres::copy::{CopyBuffer, NO_OFFSETS, RowHead};
use crate::postgres::definitions::{self, ComponentDefinition, SeriesSlotDefinition};
use crate::postgres::test_cluster::{self, TestDatabase};
use crate::postgres::{connect, partitions, report};
use crate::query::{Filter, Queries, QueryError};

/// Longer than any query of these tests may take.
pub(super) const LONG: Duration = Duration::from_secs(30);
pub(super) const SECOND: i64 = 1_000_000;
pub(super) const DAY: i64 = 86_400 * SECOND;

/// 2024-01-01T12:00:00Z and `micros` later.
pub(super) fn noon(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_704_110_400_000_000 + micros).unwrap()
}

pub(super) fn group(counter: u64) -> GroupId {
    GroupId::new(NodeNumber::new(2).unwrap(), counter)
}

/// A series at a place: group, slot, component (`type/name`), metric, labels.
pub(super) struct Series<'a>(
    pub(super) u64,
    pub(super) u8,
    pub(super) &'a str,
    pub(super) &'a str,
    pub(super) MetricType,
    pub(super) &'a [(&'a str, &'a str)],
);

/// A database, a connection that writes, and the queries that read.
pub(super) struct Fixture {
    pub(super) database: TestDatabase,
    pub(super) conn: PgConnection,
    pub(super) queries: Arc<Queries>,
    position: u64,
}

impl Fixture {
    pub(super) async fn new(series: &[Series<'_>]) -> Self {
        let database = test_cluster::database().await;
        let conn = database.connect().await;
        let pool = connect::query_pool(&database.options, 2, LONG);
        let queries = Arc::new(Queries::new(pool, LONG));
        let mut fixture = Self { database, conn, queries, position: 0 };
        fixture.define(series).await;
        fixture
    }

    pub(super) async fn define(&mut self, series: &[Series<'_>]) {
        let slots: Vec<_> = series.iter().map(slot_definition).collect();
        let components: Vec<_> = slots.iter().map(|slot| component(&slot.component)).collect();
        definitions::upsert_components(&mut self.conn, &components).await.unwrap();
        definitions::upsert_series(&mut self.conn, &slots).await.unwrap();
    }

    /// One row with all values of one time, in the slots from 0 on. Answers with its id.
    pub(super) async fn write(&mut self, counter: u64, ts: Timestamp, values: &[f64]) -> i64 {
        let present = u64::MAX >> (64 - values.len());
        self.write_slots(counter, ts, present, values, None).await
    }

    pub(super) async fn write_slots(
        &mut self,
        counter: u64,
        ts: Timestamp,
        present: u64,
        values: &[f64],
        offsets: Option<&[u32]>,
    ) -> i64 {
        self.position += 1;
        let node = NodeNumber::new(2).unwrap();
        let report = ReportId::new(node, LogPosition::new(self.position));
        let received_at = ts.offset_by(250_000);
        let head = RowHead { group: group(counter), ts, received_at, report };
        let mut buffer = CopyBuffer::new();
        let values = values.iter().copied();
        match offsets {
            None => buffer.push(head, present, values, NO_OFFSETS),
            Some(offsets) => buffer.push(head, present, values, Some(offsets.iter().copied())),
        }
        buffer.finish();
        let day = PartitionInterval::Day;
        let partition = partitions::ensure(&mut self.conn, day, ts).await.unwrap().name;
        report::copy_rows(&mut self.conn, &partition, &buffer, || None).await.unwrap();
        report.get()
    }

    pub(super) async fn ask(&self, query: &str) -> Result<Value, QueryError> {
        let filter = Filter::parse(query, &TimeZone::UTC).unwrap();
        let answer = self.queries.query(&filter).await?;
        let page: Value = serde_json::from_slice(&answer.json).unwrap();
        assert_eq!(page["metrics"].as_array().unwrap().len(), answer.count);
        assert_eq!(page["count"], answer.count);
        assert_eq!(page["limit"], filter.limit());
        let next = answer.next_cursor.map(|cursor| cursor.to_string());
        assert_eq!(page["next_cursor"].as_str(), next.as_deref());
        Ok(page)
    }

    /// The values of the page that answers `query`, as text.
    pub(super) async fn values(&self, query: &str) -> String {
        let page = self.ask(query).await.unwrap();
        let text = |metric: &Value| match &metric["metric_value"] {
            Value::Number(number) => number.as_f64().unwrap().to_string(),
            other => other.to_string(),
        };
        page["metrics"].as_array().unwrap().iter().map(text).collect::<Vec<_>>().join(" ")
    }
}

pub(super) fn key(component: &str) -> ComponentKey {
    let (component_type, name) = component.split_once('/').unwrap();
    ComponentKey::new(component_type, name).unwrap()
}

fn component(key: &ComponentKey) -> ComponentDefinition {
    let key = key.clone();
    ComponentDefinition { runtime_id: RuntimeId::derive(&key), key, first_seen: noon(0) }
}

fn slot_definition(series: &Series<'_>) -> SeriesSlotDefinition {
    let Series(counter, slot, component, name, metric_type, labels) = series;
    let mut definition = Vec::new();
    series::write_identity(&mut definition, name, labels);
    series::write_metadata(&mut definition, *metric_type, "", "percent");
    let slot = Slot::new(*slot).unwrap();
    SeriesSlotDefinition { group: group(*counter), slot, component: key(component), definition }
}
