//! A sink in memory whose answers fail, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Batch, RefusedRecord, Sink, SinkError};
use crate::model::{ComponentKey, GroupId, LogPosition, RuntimeId, Slot};
use crate::postgres::copy::decoder::{Decoder, Row};

/// What a [`MemorySink`] has taken; outlives it, as a database does.
#[derive(Default)]
pub(super) struct Database {
    pub(super) position: LogPosition,
    /// In the order in which they were taken.
    pub(super) rows: Vec<Row>,
    pub(super) components: BTreeMap<ComponentKey, RuntimeId>,
    pub(super) series: BTreeMap<(GroupId, Slot), (ComponentKey, Vec<u8>)>,
    pub(super) aside: Vec<RefusedRecord>,
    /// Values that it refuses, to the bit.
    pub(super) refused: BTreeSet<u64>,
    /// Batches taken.
    pub(super) commits: usize,
}

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Fails before anything is done.
    Before,
    /// Is done, and the answer is lost.
    After,
    /// Somebody else has moved the position here.
    Moved(LogPosition),
    Permanent,
}

/// Asks what is to go wrong with the next call.
pub(super) type Faults = Box<dyn FnMut() -> Fault + Send>;

pub(super) struct MemorySink {
    database: Arc<Mutex<Database>>,
    faults: Faults,
}

impl MemorySink {
    pub(super) fn new(database: &Arc<Mutex<Database>>, faults: Faults) -> Self {
        Self { database: Arc::clone(database), faults }
    }

    fn call<T>(
        &mut self,
        work: impl FnOnce(&mut Database) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let fault = (self.faults)();
        let mut database = self.database.lock();
        match fault {
            Fault::None => work(&mut database),
            Fault::Before => Err(SinkError::Temporary("it is away".to_owned())),
            Fault::After => {
                work(&mut database)?;
                Err(SinkError::Temporary("the answer was lost".to_owned()))
            }
            Fault::Moved(position) => {
                database.position = position;
                Err(SinkError::Temporary("it is not where it was".to_owned()))
            }
            Fault::Permanent => Err(SinkError::Permanent("it wants a person".to_owned())),
        }
    }
}

impl Database {
    /// What the view shows: each sample with its component, series, time (in microseconds since
    /// 2000) and value.
    pub(super) fn samples(&self) -> Vec<(ComponentKey, Vec<u8>, i64, f64)> {
        let mut samples = Vec::new();
        for row in &self.rows {
            let group = GroupId::from_raw(row.integers[0]).unwrap();
            for (slot, value) in row.values.iter().enumerate() {
                let (slot, Some(value)) = (Slot::new(slot as u8).unwrap(), value) else { continue };
                let (component, series) = self.series.get(&(group, slot)).unwrap().clone();
                let offset = row.offsets.as_ref().and_then(|all| all[slot.index()]).unwrap_or(0);
                samples.push((component, series, row.integers[1] + i64::from(offset), *value));
            }
        }
        samples
    }

    fn advance(&mut self, from: LogPosition, to: LogPosition) -> Result<(), SinkError> {
        if self.position != from {
            return Err(SinkError::Temporary(format!("the position is {}", self.position)));
        }
        self.position = to;
        Ok(())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let rows: Vec<Row> =
            batch.partitions().flat_map(|one| Decoder::new(one.rows.bytes()).rows()).collect();
        let values = rows.iter().flat_map(|row| &row.values).flatten();
        if let Some(value) =
            values.into_iter().find(|value| self.refused.contains(&value.to_bits()))
        {
            return Err(SinkError::Refused(format!("{value} is refused")));
        }
        for series in &batch.series {
            let known = self.series.get(&(series.group, series.slot));
            let identity = |bytes: &[u8]| {
                let series = crate::model::SeriesDefinition::parse(bytes).unwrap();
                bytes[..series.identity_bytes()].to_vec()
            };
            if known.is_some_and(|(key, bytes)| {
                *key != series.component || identity(bytes) != identity(&series.definition)
            }) {
                return Err(SinkError::Permanent(format!("{series:?}: its slot is taken")));
            }
        }
        self.advance(batch.from, batch.to)?;
        self.commits += 1;
        self.rows.extend(rows);
        for component in &batch.components {
            // What is there keeps its id.
            self.components.entry(component.key.clone()).or_insert(component.runtime_id);
        }
        for series in &batch.series {
            let definition = (series.component.clone(), series.definition.clone());
            self.series.insert((series.group, series.slot), definition);
        }
        Ok(())
    }
}

impl Sink for MemorySink {
    async fn position(&mut self) -> Result<LogPosition, SinkError> {
        self.call(|database| Ok(database.position))
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), SinkError> {
        self.call(|database| database.commit(batch))
    }

    async fn set_aside(&mut self, record: &RefusedRecord) -> Result<(), SinkError> {
        self.call(|database| {
            database.advance(record.from, record.to)?;
            database.aside.push(record.clone());
            Ok(())
        })
    }

    async fn runtime_ids(
        &mut self,
        components: &[&ComponentKey],
    ) -> Result<Vec<(ComponentKey, RuntimeId)>, SinkError> {
        self.call(|database| {
            let found = components.iter().filter_map(|key| database.components.get_key_value(*key));
            Ok(found.map(|(key, id)| (key.clone(), *id)).collect())
        })
    }
}
