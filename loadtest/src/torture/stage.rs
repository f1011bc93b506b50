//! A world over several legs, and the ledgers of all of them.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::torture::args::TortureArgs;
use crate::torture::chance::Chance;
use crate::torture::fault::{Deck, Fault};
use crate::torture::leg::Leg;
use crate::torture::tally::Tally;
use crate::torture::world::{Kind, World};
use crate::verify::{Database, Exactness, Ledger};

/// How long the server may take to stop, with its PostgreSQL, or to start undisturbed.
const QUIET_LIMIT: Duration = Duration::from_secs(120);
/// More than a round without PostgreSQL fills.
const LOG_BUDGET_MIB: u32 = 256;
/// How long the flush of what is left may take.
const FLUSH_LIMIT: Duration = Duration::from_secs(120);

/// One world with all that was pushed to it.
#[derive(Debug)]
pub(crate) struct Stage {
    world: World,
    deck: Deck,
    ledgers: Vec<Ledger>,
    runs: bool,
    checks: u32,
    exactness: Exactness,
}

impl Stage {
    /// Makes a world of this kind in `dir`, and says which faults are left out in it.
    pub(crate) async fn build(args: &TortureArgs, dir: &Path, kind: Kind) -> Result<Self> {
        let binary = std::path::absolute(&args.server).context("find the server's binary")?;
        let world = match (kind, &args.database_url) {
            (Kind::Embedded, _) => {
                World::embedded(&binary, &dir.join("embedded"), LOG_BUDGET_MIB).await
            }
            (Kind::Proxied, _) => World::proxied(&binary, &dir.join("proxied")).await,
            (Kind::Foreign, url) => {
                let url = url.as_deref().context("--database-url is missing")?;
                World::foreign(&binary, &dir.join("foreign"), url).await
            }
        };
        let world = world.with_context(|| format!("make a world with PostgreSQL {kind:?}"))?;
        if let Some(reason) = &world.without_disks {
            eprintln!(
                "NO SMALL DISKS: {reason}; full disks are LEFT OUT (run as root to have them)"
            );
        }
        let deck = Deck::new(args.wanted(), world.means().await?);
        ensure!(!deck.possible().is_empty(), "none of the faults is possible here");
        let (ledgers, exactness) = (Vec::new(), Exactness::default());
        Ok(Self { world, deck, ledgers, runs: true, checks: 0, exactness })
    }

    /// Some rounds with one fleet, and the comparison.
    pub(crate) async fn leg(
        &mut self,
        args: &TortureArgs,
        rounds: RangeInclusive<u32>,
        chance: &mut Chance,
        tally: &mut Tally,
    ) -> Result<()> {
        let (first, last) = (*rounds.start(), *rounds.end());
        self.start().await.with_context(|| format!("before round {first}"))?;
        let mut leg = Leg::start(args, &mut self.world, chance)?;
        for round in rounds {
            let faults = self.deck.draw(leg.chance());
            let names: Vec<String> = faults.iter().map(Fault::to_string).collect();
            let named = format!("round {round} ({:?}: {})", leg.kind(), names.join(" + "));
            let done = leg.round(&faults, tally).await.with_context(|| named.clone())?;
            eprintln!("{named}: {done}");
        }
        let after = || format!("after round {last}");
        let ledgers = leg.finish(tally).await.with_context(after)?;
        let exactness = self.compare(&ledgers).await.with_context(after)?;
        eprintln!("after round {last}: {exactness}");
        self.exactness.add(&exactness);
        self.ledgers.extend(ledgers);
        self.stop().await.with_context(after)
    }

    /// Compares everything that was ever pushed with the tables.
    pub(crate) async fn check_all(&mut self) -> Result<()> {
        self.start().await?;
        let ledgers = std::mem::take(&mut self.ledgers);
        self.exactness = self.compare(&ledgers).await.context("at the end")?;
        self.ledgers = ledgers;
        self.stop().await
    }

    async fn compare(&mut self, ledgers: &[Ledger]) -> Result<Exactness> {
        let database = Database::new(&self.world.postgres.url);
        let mut total = Exactness::default();
        for ledger in ledgers {
            let flushed = database.wait_until_flushed(ledger, FLUSH_LIMIT).await?;
            let exactness = database.check(ledger).await?;
            self.checks += 1;
            ensure!(flushed && exactness.holds(), "{exactness}; {:?}", exactness.findings);
            total.add(&exactness);
        }
        Ok(total)
    }

    async fn start(&mut self) -> Result<()> {
        if !self.runs {
            self.world.postgres.start_if_ours(QUIET_LIMIT).await?;
            self.world.server.start(QUIET_LIMIT).await?;
            self.runs = true;
        }
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        self.world.server.signal(Signal::TERM)?;
        self.runs = false;
        let status = self.world.server.ended(QUIET_LIMIT).await?;
        ensure!(status.success(), "the server ended with {status} after SIGTERM");
        Ok(())
    }

    /// Adds the figures of this world.
    pub(crate) fn account(&self, tally: &mut Tally) {
        let server = &self.world.server;
        tally.server_starts += server.starts;
        tally.server_start_s_max = tally.server_start_s_max.max(server.start_max.as_secs_f64());
        tally.server_memory_bytes_max = tally.server_memory_bytes_max.max(server.memory_bytes_max);
        tally.checks += self.checks;
        tally.exactness.add(&self.exactness);
        if let Some(reason) = &self.world.without_disks {
            for fault in [Fault::TablesDiskFull, Fault::WalDiskFull, Fault::LogDiskFull] {
                tally.left_out.insert(fault, reason.clone());
            }
        }
    }

    /// Leaves everything where it is, and tells what the server said.
    pub(crate) fn keep(&mut self) {
        println!("the end of what the server said:\n{}", self.world.server.last_words());
        if let Some(disks) = &mut self.world.disks {
            disks.keep();
        }
    }
}
