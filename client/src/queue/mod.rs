//! The reports that are not delivered, oldest first, in memory or on the disk.
//!
//! Guarantees that they take no more than the bounds, that what is over them is dropped from the
//! oldest on and counted, and that reports leave in the order in which they came: a server tells a
//! repeat by the last sample of its series, so a retry may never come after a newer report.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::spool::{Spool, SpoolError};
use crate::transport::Report;

/// Bytes that a report takes beside its body.
const OVERHEAD_BYTES: u64 = 256;

/// The queue.
#[derive(Debug)]
pub(crate) struct Queue {
    entries: VecDeque<Entry>,
    spool: Option<Spool>,
    memory_bytes: u64,
    memory_bytes_max: u64,
    spool_bytes: u64,
    next: u64,
    /// What was read last from the disk, so that a retry need not read it again.
    head: Option<(u64, Arc<Report>)>,
    dropped: Dropped,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    bytes: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Arc<Report>),
    Disk,
}

/// Reports that were dropped, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// There was no room for them.
    pub overflowed: u64,
    /// The spool's file of them is damaged or gone.
    pub damaged: u64,
    /// The server refused them for good.
    pub refused: u64,
}

/// Names one report of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number(u64);

impl Queue {
    /// With at most so many bytes of memory.
    pub(crate) fn new(memory_bytes_max: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            spool: None,
            memory_bytes: 0,
            memory_bytes_max,
            spool_bytes: 0,
            next: 0,
            head: None,
            dropped: Dropped::default(),
        }
    }

    /// Keeps reports in `spool`, and begins with those that it holds.
    pub(crate) fn with_spool(mut self, spool: Spool) -> Self {
        for (number, bytes) in spool.found() {
            self.entries.push_back(Entry { number: *number, bytes: *bytes, place: Place::Disk });
            self.spool_bytes += bytes;
        }
        self.next = self.next.max(spool.first_free());
        self.dropped.damaged += spool.damaged();
        self.spool = Some(spool);
        self.make_room();
        self
    }

    /// Adds the newest report, and drops the oldest where that takes more than there is.
    ///
    /// # Errors
    /// Where the spool cannot be written. The report is kept in memory then.
    pub(crate) fn push(&mut self, report: Report) -> Result<(), SpoolError> {
        let number = self.next;
        self.next += 1;
        let written = self.spool.as_mut().map(|spool| spool.write(number, &report));
        let (bytes, place, failed) = match written {
            Some(Ok(bytes)) => (bytes, Place::Disk, Ok(())),
            Some(Err(error)) => (size_of(&report), Place::Memory(Arc::new(report)), Err(error)),
            None => (size_of(&report), Place::Memory(Arc::new(report)), Ok(())),
        };
        match place {
            Place::Memory(_) => self.memory_bytes += bytes,
            Place::Disk => self.spool_bytes += bytes,
        }
        self.entries.push_back(Entry { number, bytes, place });
        self.make_room();
        failed
    }

    /// The oldest report. One that cannot be read back is dropped.
    pub(crate) fn front(&mut self) -> Option<(Number, Arc<Report>)> {
        loop {
            let entry = self.entries.front()?;
            let number = entry.number;
            if let Some((known, report)) = &self.head
                && *known == number
            {
                return Some((Number(number), Arc::clone(report)));
            }
            let report = match (&entry.place, &self.spool) {
                (Place::Memory(report), _) => Some(Arc::clone(report)),
                (Place::Disk, Some(spool)) => spool.read(number).ok().map(Arc::new),
                (Place::Disk, None) => None,
            };
            match report {
                Some(report) => {
                    self.head = Some((number, Arc::clone(&report)));
                    return Some((Number(number), report));
                }
                None => {
                    self.dropped.damaged += 1;
                    self.remove_front();
                }
            }
        }
    }

    /// Forgets a report that was delivered, unless it was dropped meanwhile.
    pub(crate) fn delivered(&mut self, number: Number) {
        if self.entries.front().is_some_and(|entry| entry.number == number.0) {
            self.remove_front();
        }
    }

    /// Drops a report that the server will never take.
    pub(crate) fn refused(&mut self, number: Number) {
        self.dropped.refused += 1;
        self.delivered(number);
    }

    /// How many reports wait.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of those that wait, in memory and on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.memory_bytes + self.spool_bytes
    }

    /// What was dropped until now.
    pub(crate) fn dropped(&self) -> Dropped {
        self.dropped
    }

    fn make_room(&mut self) {
        let spool_bytes_max = self.spool.as_ref().map_or(0, Spool::bytes_max);
        while self.memory_bytes > self.memory_bytes_max || self.spool_bytes > spool_bytes_max {
            // In the order of age, whichever of the two is full: what is newer must not come first.
            self.dropped.overflowed += 1;
            self.remove_front();
        }
    }

    fn remove_front(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        match entry.place {
            Place::Memory(_) => self.memory_bytes -= entry.bytes,
            Place::Disk => {
                self.spool_bytes -= entry.bytes;
                if let Some(spool) = &self.spool {
                    spool.remove(entry.number);
                }
            }
        }
        if self.head.as_ref().is_some_and(|(number, _)| *number == entry.number) {
            self.head = None;
        }
    }
}

fn size_of(report: &Report) -> u64 {
    report.body.len() as u64 + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests;
