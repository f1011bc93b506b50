//! The database of a world: it outlives the processes, and so may what they asked of it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use parking_lot::Mutex;

use super::Luck;
use super::story::Story;
use crate::flush::memory_sink::{Database, Transaction};
use crate::flush::{Batch, RefusedRecord, Sink, SinkError};
use crate::model::{ComponentKey, LogPlace, RuntimeId};

/// How the database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Well,
    /// Nobody reaches it.
    Away,
    /// It refuses everything until a person has looked.
    WantsPerson,
}

/// The database server.
pub(super) struct Server {
    pub(super) database: Database,
    pub(super) condition: Condition,
    /// One call in so many goes wrong; 0 is none.
    pub(super) trouble_once_in: u64,
    /// Transactions at their commit, whose locks others wait for.
    in_flight: VecDeque<InFlight>,
    waiting: Vec<Waker>,
    /// Numbers transactions.
    begun: u64,
    /// Those that were answered: whether they were committed.
    ended: Vec<(u64, bool)>,
    luck: Luck,
    story: Story,
}

struct InFlight {
    number: u64,
    transaction: Transaction,
}

/// What becomes of a transaction's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    AtOnce,
    /// The connection breaks before anything is done.
    NeverBegun,
    /// It is done, and the answer is lost.
    LostAfter,
    /// The answer is lost while the transaction is being committed.
    LostInFlight,
    /// It comes when the transaction has ended.
    Late,
    /// It never comes, whatever becomes of the transaction.
    Never,
}

impl Server {
    pub(super) fn new(luck: &mut Luck, story: &Story) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            database: Database::default(),
            condition: Condition::Well,
            trouble_once_in: 4,
            in_flight: VecDeque::new(),
            waiting: Vec::new(),
            begun: 0,
            ended: Vec::new(),
            luck: luck.fork(),
            story: story.clone(),
        }))
    }

    pub(super) fn set_condition(&mut self, condition: Condition) {
        self.condition = condition;
        self.story.tell(format_args!("database: {condition:?}"));
    }

    /// The database brings a transaction to its end, if there is one.
    pub(super) fn work(&mut self) {
        let Some(InFlight { number, transaction }) = self.in_flight.pop_front() else { return };
        let committed =
            !self.luck.once_in(3) && self.database.commit_transaction(transaction).is_ok();
        self.ended.push((number, committed));
        self.story.tell(format_args!("database: transaction {number} committed {committed}"));
        self.waiting.drain(..).for_each(Waker::wake);
    }

    fn reach(&self) -> Result<(), SinkError> {
        match self.condition {
            Condition::Well => Ok(()),
            Condition::Away => Err(SinkError::Temporary("it is away".to_owned())),
            Condition::WantsPerson => Err(SinkError::Permanent("it wants a person".to_owned())),
        }
    }

    fn answer(&mut self) -> Answer {
        if !self.luck.once_in(self.trouble_once_in) {
            return Answer::AtOnce;
        }
        self.luck.pick(&[
            Answer::NeverBegun,
            Answer::NeverBegun,
            Answer::LostAfter,
            Answer::LostAfter,
            Answer::LostInFlight,
            Answer::LostInFlight,
            Answer::Late,
            Answer::Late,
            Answer::Never,
        ])
    }
}

/// A connection to it.
pub(super) struct ServerSink(pub(super) Arc<Mutex<Server>>);

impl ServerSink {
    /// Waits until no transaction holds the position's lock.
    async fn lock(&self) {
        poll_fn(|context| {
            let mut server = self.0.lock();
            if server.in_flight.is_empty() {
                return Poll::Ready(());
            }
            server.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether the transaction of that number was committed, once it has ended.
    async fn ended(&self, number: u64) -> bool {
        poll_fn(|context| {
            let mut server = self.0.lock();
            if let Some((_, committed)) = server.ended.iter().find(|ended| ended.0 == number) {
                return Poll::Ready(*committed);
            }
            server.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    async fn run(&self, what: &str, transaction: Transaction) -> Result<(), SinkError> {
        self.0.lock().reach()?;
        self.lock().await;
        let (from, to) = (transaction.from, transaction.to);
        let (answer, number) = {
            let server = &mut *self.0.lock();
            server.reach()?;
            let answer = server.answer();
            server.begun += 1;
            let checked = server.database.check(&transaction);
            let outcome = match &checked {
                Ok(()) => "sound",
                Err(SinkError::Refused(_)) => "refused",
                Err(_) => "out of place",
            };
            server.story.tell(format_args!("database: {what} {from}..{to} {outcome} {answer:?}"));
            match answer {
                Answer::NeverBegun => {}
                Answer::AtOnce | Answer::LostAfter => {
                    server.database.commit_transaction(transaction)?;
                }
                Answer::LostInFlight | Answer::Late | Answer::Never => {
                    checked?;
                    let number = server.begun;
                    server.in_flight.push_back(InFlight { number, transaction });
                }
            }
            (answer, server.begun)
        };
        let committed = match answer {
            Answer::AtOnce => true,
            Answer::NeverBegun | Answer::LostAfter | Answer::LostInFlight => false,
            Answer::Late => self.ended(number).await,
            Answer::Never => std::future::pending().await,
        };
        if committed { Ok(()) } else { Err(SinkError::Temporary("it does not say".to_owned())) }
    }

    /// A question that changes nothing.
    async fn ask<T>(&self, question: impl FnOnce(&Database) -> T) -> Result<T, SinkError> {
        self.0.lock().reach()?;
        self.lock().await;
        let answer = {
            let mut server = self.0.lock();
            server.reach()?;
            server.answer()
        };
        match answer {
            Answer::AtOnce | Answer::Late => Ok(question(&self.0.lock().database)),
            Answer::Never => std::future::pending().await,
            _ => Err(SinkError::Temporary("the connection broke".to_owned())),
        }
    }
}

impl Sink for ServerSink {
    async fn position(&mut self) -> Result<LogPlace, SinkError> {
        self.ask(Database::place).await
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), SinkError> {
        self.run("batch", Transaction::of(batch)).await
    }

    async fn set_aside(&mut self, record: &RefusedRecord) -> Result<(), SinkError> {
        self.run("set aside", Transaction::aside(record)).await
    }

    async fn runtime_ids(
        &mut self,
        components: &[&ComponentKey],
    ) -> Result<Vec<(ComponentKey, RuntimeId)>, SinkError> {
        self.ask(|database| database.runtime_ids(components)).await
    }
}
