//! Rounds in one world, with one fleet that pushes all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::sleep;

use crate::fleet::{Leash, Patience};
use crate::plan::PlanRequest;
use crate::torture::args::TortureArgs;
use crate::torture::chance::Chance;
use crate::torture::fault::Fault;
use crate::torture::inflict::Scene;
use crate::torture::push::Push;
use crate::torture::tally::Tally;
use crate::torture::world::{Kind, World};
use crate::verify::Ledger;
use crate::wire::get;

const POLL_INTERVAL: Duration = Duration::from_millis(50);
const WATCH_INTERVAL: Duration = Duration::from_millis(10);

/// Rounds under way.
#[derive(Debug)]
pub(crate) struct Leg<'a> {
    world: &'a mut World,
    chance: &'a mut Chance,
    /// The lasting fleet, then those of the round's faults.
    pushes: Vec<Push>,
    watch: Watch,
    ledgers: Vec<Ledger>,
    burst: PlanRequest,
    patience: Patience,
    recovery_limit: Duration,
    lasting_ms: u64,
}

impl<'a> Leg<'a> {
    /// Starts the fleet.
    pub(crate) fn start(
        args: &TortureArgs,
        world: &'a mut World,
        chance: &'a mut Chance,
    ) -> Result<Self> {
        let patience = args.patience();
        let lasting = Push::start(args.lasting(), world.server.target(), patience)?;
        Ok(Self {
            watch: Watch::start(lasting.leash().clone())?,
            pushes: vec![lasting],
            world,
            chance,
            ledgers: Vec::new(),
            burst: args.burst(),
            patience,
            recovery_limit: Duration::from_secs(args.recovery_seconds),
            lasting_ms: args.lasting_ms,
        })
    }

    pub(crate) fn chance(&mut self) -> &mut Chance {
        self.chance
    }

    pub(crate) fn kind(&self) -> Kind {
        self.world.kind
    }

    /// Does the faults, takes them back, and waits until the server has recovered. What was seen.
    pub(crate) async fn round(&mut self, faults: &[Fault], tally: &mut Tally) -> Result<String> {
        self.world.server.require_alive()?;
        self.watch.begin();
        sleep(self.chance.millis(0..self.lasting_ms / 2)).await;
        let hold = self.chance.millis(300..self.lasting_ms) / faults.len() as u32;
        let mut scene = Scene {
            world: self.world,
            chance: self.chance,
            pushes: &mut self.pushes,
            burst: self.burst,
            patience: self.patience,
        };
        let mut wounds = Vec::new();
        for fault in faults {
            wounds.push(scene.inflict(*fault).await?);
            sleep(hold).await;
        }
        let evidence: Vec<String> = wounds.iter().map(|wound| wound.evidence.clone()).collect();
        scene.heal_all(wounds).await?;
        let recovery = self.recovered().await?;
        for burst in self.pushes.drain(1..) {
            tally.retries += burst.leash().retries();
            tally.answers.add(burst.leash().answers());
            self.ledgers.push(burst.finish().await?);
        }
        let without_acks = self.watch.longest();
        tally.count(faults, without_acks, recovery);
        Ok(format!(
            "{}; {:.1} s without acks, back after {:.1} s",
            evidence.join(", "),
            without_acks.as_secs_f64(),
            recovery.as_secs_f64()
        ))
    }

    /// Waits until reports are acknowledged and flushed, both anew.
    async fn recovered(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let acknowledged = self.pushes[0].leash().samples();
        let mut position = None;
        loop {
            self.world.server.require_alive()?;
            let missing = match self.world.postgres.position().await {
                Err(error) => format!("the database does not answer: {error:#}"),
                Ok(now) if now <= *position.get_or_insert(now) => "nothing is flushed".to_owned(),
                Ok(_) if self.pushes[0].leash().samples() <= acknowledged => {
                    "nothing is acknowledged".to_owned()
                }
                Ok(_) => match self.ready().await? {
                    page if page.contains(r#""database":"up""#) => return Ok(began.elapsed()),
                    page => page,
                },
            };
            if began.elapsed() > self.recovery_limit {
                bail!("the server did not recover within {:?}: {missing}", self.recovery_limit);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn ready(&self) -> Result<String> {
        let page = get(self.world.server.target(), "/ready", Duration::from_secs(5)).await;
        page.map(|(_, page)| page).context("ask whether the server is ready")
    }

    /// Lets the fleet end; what must be stored of it.
    pub(crate) async fn finish(mut self, tally: &mut Tally) -> Result<Vec<Ledger>> {
        self.world.server.require_alive()?;
        let quarantined = self.world.server.figure(QUARANTINED).await?;
        ensure!(quarantined == 0.0, "{quarantined} rows were put into quarantine");
        for push in self.pushes {
            tally.retries += push.leash().retries();
            tally.answers.add(push.leash().answers());
            self.ledgers.push(push.finish().await?);
        }
        Ok(self.ledgers)
    }
}

const QUARANTINED: &str = "noetl_metrics_flush_quarantined_rows_total";

/// Measures for how long nothing is acknowledged, on a thread of its own, which nothing holds up.
#[derive(Debug)]
struct Watch {
    longest_ms: Arc<AtomicU64>,
    // Dropping it ends the thread.
    _stop: Sender<()>,
}

impl Watch {
    fn start(leash: Leash) -> Result<Self> {
        let longest_ms = Arc::new(AtomicU64::new(0));
        let longest = Arc::clone(&longest_ms);
        let (stop, stopped) = channel();
        let look = move || {
            let mut last = (Instant::now(), 0);
            while stopped.recv_timeout(WATCH_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let samples = leash.samples();
                longest.fetch_max(last.0.elapsed().as_millis() as u64, Ordering::Relaxed);
                if samples != last.1 {
                    last = (Instant::now(), samples);
                }
            }
        };
        let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(look);
        thread.context("start to watch the acknowledgements")?;
        Ok(Self { longest_ms, _stop: stop })
    }

    fn begin(&self) {
        self.longest_ms.store(0, Ordering::Relaxed);
    }

    fn longest(&self) -> Duration {
        Duration::from_millis(self.longest_ms.load(Ordering::Relaxed))
    }
}
