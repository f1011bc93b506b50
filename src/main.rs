//! The command line: reads it, runs it, and says by the exit status how it went.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use mimalloc::MiMalloc;
use noetl_metrics::app::{self, log, quarantine};
use noetl_metrics::config::{Cli, Command, Config, ConfigReport, Database, WorkerCommand};
use noetl_metrics::postgres::embedded;

/// Batches of definitions come and go by tens of megabytes while a fleet registers. What the system's
/// allocator keeps of them is more than the series take; see docs/decisions/0013.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let command = match Cli::parse(std::env::args_os(), |name| std::env::var_os(name)) {
        Ok(command) => command,
        Err(exit) => {
            if exit.status() == 0 {
                print(&exit.to_string());
            } else {
                complain(&exit.to_string());
            }
            return ExitCode::from(exit.status());
        }
    };
    match run(command) {
        Ok(status) => status,
        Err(error) => {
            complain(&format!("noetl-metrics: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(config) => serve(&config),
        Command::ConfigCheck(report) => Ok(config_check(&report)),
        Command::DatabaseUrl { data_dir, database } => {
            print(&database_url(&database, &data_dir)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Partitions(config, action) => {
            let settings = config.settings();
            let url = database_url(&settings.database_url, &settings.data_dir)?;
            let mut out = io::stdout();
            Ok(wait(app::partitions::run(&url, settings, action, &mut out))??.into())
        }
        Command::Quarantine { data_dir, database, partition_interval, action } => {
            let url = database_url(&database, &data_dir)?;
            let mut out = io::stdout();
            Ok(wait(quarantine::run(&url, partition_interval, action, &mut out))??.into())
        }
        Command::Worker(WorkerCommand::Push(request)) => {
            let mut out = io::stdout();
            Ok(wait(app::push::run(&request, &mut io::stdin().lock(), &mut out))??.into())
        }
        Command::Worker(WorkerCommand::Agent(settings, agent)) => {
            Ok(wait(app::agent::run(*settings, agent))??.into())
        }
        Command::Token { file, action } => {
            Ok(app::token::run(&file, action, &mut io::stdout())?.into())
        }
        Command::Log { config, action } => {
            let mut out = io::stdout();
            Ok(wait(log::run(config.settings(), action, &mut out))??.into())
        }
    }
}

/// The database in use.
fn database_url(database: &Database, data_dir: &Path) -> anyhow::Result<String> {
    Ok(match database {
        Database::External(url) => url.as_str().to_owned(),
        Database::Embedded => embedded::url_of(data_dir)?,
    })
}

/// Does the work of a command on this thread.
fn wait<T>(work: impl Future<Output = T>) -> io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}

fn serve(config: &Config) -> anyhow::Result<ExitCode> {
    let settings = config.settings();
    app::init_logging(settings);
    // Fewer threads than cores wake each other less, and the other cores are not idle.
    let half = || std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let threads = settings.worker_threads.map_or_else(half, usize::from);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime =
        runtime.worker_threads(threads).enable_all().build().context("start the runtime")?;
    let drained = runtime.block_on(app::serve(settings))?;
    if drained.rows_left > 0 {
        complain(&format!(
            "noetl-metrics: {} rows are in the log and not yet in PostgreSQL; the next start \
             brings them there",
            drained.rows_left
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn config_check(report: &ConfigReport) -> ExitCode {
    print(&report.in_force);
    match &report.errors {
        None => ExitCode::SUCCESS,
        Some(errors) => {
            complain(&errors.to_string());
            ExitCode::from(2)
        }
    }
}

/// Standard output that is closed early, as by `head`, is no failure of ours.
fn print(text: &str) {
    drop(writeln!(io::stdout(), "{}", text.trim_end()));
}

fn complain(text: &str) {
    drop(writeln!(io::stderr(), "{}", text.trim_end()));
}
