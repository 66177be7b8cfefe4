#![doc = include_str!("../README.md")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command whose report is its output"
)]

mod cluster;
mod dice;
mod disturbance;
mod faults;
mod history;
mod load;
mod place;
mod process;
mod servers;
mod trial;
mod wire;

use clap::{Parser, Subcommand};
use faults::FaultsArgs;
use std::process::ExitCode;
use trial::HistoryArgs;

/// Tries the program to death, and says what came of it.
#[derive(Clone, Debug, Parser)]
#[command(name = "trials", version)]
struct Cli {
    #[command(subcommand)]
    trial: Trial,
}

#[derive(Clone, Debug, Subcommand)]
enum Trial {
    History(HistoryArgs),
    Faults(FaultsArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let is_sound = match Cli::parse().trial {
        Trial::History(args) => trial::run(args).await?,
        Trial::Faults(args) => faults::run(&args).await?,
    };
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
