//! Flags of `loadtest plot`.

use std::path::PathBuf;

use clap::Args;

/// Flags of `loadtest plot`.
#[derive(Debug, Args)]
pub(crate) struct PlotArgs {
    /// Results of `loadtest compare` and `loadtest ramp`, as `--json` writes them.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Directory for the figures, made where it is not there.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}
