//! A sink in memory whose answers fail, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Batch, RefusedRecord, Sink, SinkError};
use crate::model::{
    ComponentKey, GroupId, LogMark, LogPlace, LogPosition, RuntimeId, SeriesDefinition, Slot,
};
use crate::postgres::copy::decoder::{Decoder, Row};
use crate::postgres::definitions::{ComponentDefinition, SeriesSlotDefinition};

/// What a [`MemorySink`] has taken; outlives it, as a database does.
#[derive(Default)]
pub(super) struct Database {
    pub(super) position: LogPosition,
    /// The mark beside the position.
    pub(super) mark: Option<LogMark>,
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

/// What is taken at once, or not at all.
pub(super) struct Transaction {
    pub(super) from: LogPlace,
    pub(super) to: LogPlace,
    rows: Vec<Row>,
    components: Vec<ComponentDefinition>,
    series: Vec<SeriesSlotDefinition>,
    aside: Option<RefusedRecord>,
}

impl Transaction {
    /// Storing `batch`.
    pub(super) fn of(batch: &Batch) -> Self {
        let rows = batch.partitions().flat_map(|one| Decoder::new(&one.rows.to_bytes()).rows());
        Self {
            from: batch.start(),
            to: batch.end(),
            rows: rows.collect(),
            components: batch.components.clone(),
            series: batch.series.clone(),
            aside: None,
        }
    }

    /// Setting `record` aside.
    pub(super) fn aside(record: &RefusedRecord) -> Self {
        Self {
            from: record.from,
            to: record.to,
            rows: Vec::new(),
            components: record.components.clone(),
            series: record.series.clone(),
            aside: Some(record.clone()),
        }
    }
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
                (database.position, database.mark) = (position, None);
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
                let defined = self.series.get(&(group, slot));
                let (component, series) =
                    defined.unwrap_or_else(|| panic!("the series of {value} is not defined"));
                let offset = row.offsets.as_ref().and_then(|all| all[slot.index()]).unwrap_or(0);
                let at = row.integers[1] + i64::from(offset);
                samples.push((component.clone(), series.clone(), at, *value));
            }
        }
        samples
    }

    /// The position and its mark.
    pub(super) fn place(&self) -> LogPlace {
        LogPlace { position: self.position, mark: self.mark }
    }

    /// Whether the transaction could be taken now, and why not.
    pub(super) fn check(&self, transaction: &Transaction) -> Result<(), SinkError> {
        if !self.place().agrees_with(&transaction.from) {
            return Err(SinkError::Temporary(format!("the position is {}", self.place())));
        }
        let values = transaction.rows.iter().flat_map(|row| &row.values).flatten();
        if let Some(value) =
            values.into_iter().find(|value| self.refused.contains(&value.to_bits()))
        {
            return Err(SinkError::Refused(format!("{value} is refused")));
        }
        for series in &transaction.series {
            let known = self.series.get(&(series.group, series.slot));
            let identity = |bytes: &[u8]| {
                let series = SeriesDefinition::parse(bytes).unwrap();
                bytes[..series.identity_bytes()].to_vec()
            };
            if known.is_some_and(|(key, bytes)| {
                *key != series.component || identity(bytes) != identity(&series.definition)
            }) {
                return Err(SinkError::Permanent(format!("{series:?}: its slot is taken")));
            }
        }
        Ok(())
    }

    /// Takes all of it, or nothing.
    pub(super) fn commit_transaction(&mut self, transaction: Transaction) -> Result<(), SinkError> {
        self.check(&transaction)?;
        let Transaction { from: _, to, rows, components, series, aside } = transaction;
        (self.position, self.mark) = (to.position, to.mark);
        self.commits += usize::from(aside.is_none());
        self.rows.extend(rows);
        for component in components {
            // What is there keeps its id.
            self.components.entry(component.key).or_insert(component.runtime_id);
        }
        for series in series {
            let definition = (series.component, series.definition.to_vec());
            self.series.insert((series.group, series.slot), definition);
        }
        self.aside.extend(aside);
        Ok(())
    }

    /// The ids of those components that it has.
    pub(super) fn runtime_ids(
        &self,
        components: &[&ComponentKey],
    ) -> Vec<(ComponentKey, RuntimeId)> {
        let found = components.iter().filter_map(|key| self.components.get_key_value(*key));
        found.map(|(key, id)| (key.clone(), *id)).collect()
    }
}

impl Sink for MemorySink {
    async fn position(&mut self) -> Result<LogPlace, SinkError> {
        self.call(|database| Ok(database.place()))
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), SinkError> {
        self.call(|database| database.commit_transaction(Transaction::of(batch)))
    }

    async fn set_aside(&mut self, record: &RefusedRecord) -> Result<(), SinkError> {
        self.call(|database| database.commit_transaction(Transaction::aside(record)))
    }

    async fn runtime_ids(
        &mut self,
        components: &[&ComponentKey],
    ) -> Result<Vec<(ComponentKey, RuntimeId)>, SinkError> {
        self.call(|database| Ok(database.runtime_ids(components)))
    }
}
