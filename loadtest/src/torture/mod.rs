//! The real server and a real PostgreSQL under load, while both are killed, stopped, starved and
//! cut off from each other; afterwards every acknowledged sample must be stored exactly once.
//!
//! A *round* does one or two faults at random moments, takes them back, and waits until the server
//! has recovered by itself. A *leg* is some rounds in one *world* (a server and its database) with
//! one fleet; at its end the fleet's ledger is compared with the tables.

mod args;
mod chance;
mod cluster;
mod disk;
mod fault;
mod inflict;
mod leg;
mod overload;
mod postgres;
mod process;
mod proxy;
mod push;
mod server;
mod stage;
mod tally;
mod world;

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};

pub(crate) use args::TortureArgs;
use chance::Chance;
use stage::Stage;
use tally::Tally;
use world::Kind;

use crate::report::write_json;
use crate::torture::args::{Choice, Other};

/// `loadtest torture`: true when nothing was lost or doubled and the server always recovered.
pub(crate) async fn torture(args: &TortureArgs) -> Result<bool> {
    if let Some(Other::Overload(args)) = &args.other {
        return overload::overload(args).await;
    }
    let dir = make_dir(args.work_dir.as_deref())?;
    let mut tally = Tally { seed: args.seed, ..Tally::default() };
    let began = Instant::now();
    let mut stages = Vec::new();
    let passed = tokio::select! {
        passed = rounds(args, &dir, &mut stages, &mut tally) => passed,
        signal = tokio::signal::ctrl_c() => signal.context("wait for SIGINT").and(Err(anyhow!("interrupted"))),
    };
    tally.elapsed_s = began.elapsed().as_secs_f64();
    for stage in &stages {
        stage.account(&mut tally);
    }
    print!("{tally}");
    if let Some(path) = &args.json {
        write_json(path, &tally)?;
    }
    if let Err(error) = &passed {
        println!("FAILED       {error:#}");
        println!("             --seed {}, in {}", args.seed, dir.display());
        stages.iter_mut().for_each(Stage::keep);
    }
    drop(stages);
    if passed.is_ok() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    Ok(passed.is_ok())
}

/// All legs, the stages in turn, and the last comparison of everything.
async fn rounds(
    args: &TortureArgs,
    dir: &Path,
    stages: &mut Vec<Stage>,
    tally: &mut Tally,
) -> Result<()> {
    let kinds: &[Kind] = match (&args.database_url, args.database) {
        (Some(_), _) => &[Kind::Foreign],
        (None, Choice::Embedded) => &[Kind::Embedded],
        (None, Choice::Proxied) => &[Kind::Proxied],
        (None, Choice::Both) => &[Kind::Embedded, Kind::Proxied],
    };
    let mut chance = Chance::new(args.seed);
    for (leg, first) in (1..=args.rounds).step_by(args.check_every as usize).enumerate() {
        let turn = leg % kinds.len();
        if stages.len() == turn {
            stages.push(Stage::build(args, dir, kinds[turn]).await?);
        }
        let last = args.rounds.min(first + args.check_every - 1);
        stages[turn].leg(args, first..=last, &mut chance, tally).await?;
    }
    for stage in stages {
        stage.check_all().await?;
    }
    Ok(())
}

/// A new directory that PostgreSQL's user may pass through.
fn make_dir(parent: Option<&Path>) -> Result<PathBuf> {
    let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
    let dir = parent.join(format!("noetl-torture-{}", std::process::id()));
    DirBuilder::new().mode(0o755).create(&dir).with_context(|| format!("create {dir:?}"))?;
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755))
        .with_context(|| format!("open {dir:?} to PostgreSQL's user"))?;
    Ok(dir)
}
