//! `finitech`: see `finitech --help` and the README.

use clap::Parser;
use std::process::ExitCode;

/// Requests allocate and free small things all day; docs/PERFORMANCE.md has what it is worth.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    server::cli::run(server::cli::Cli::parse()).await
}
