//! `finitech`: see `finitech --help` and the README.

use clap::Parser;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    server::cli::run(server::cli::Cli::parse()).await
}
