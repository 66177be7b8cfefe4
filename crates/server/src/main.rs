//! `finitech`: see `finitech --help` and the README.

use clap::Parser;
use std::process::ExitCode;
use std::time::Duration;

/// Requests allocate and free small things all day; docs/PERFORMANCE.md has what it is worth.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What still runs when all is done is a call into a library that does not return.
const LAST_CALLS: Duration = Duration::from_secs(1);

fn main() -> anyhow::Result<ExitCode> {
    let cli = server::cli::Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(server::cli::run(cli));
    runtime.shutdown_timeout(LAST_CALLS);
    ended
}
