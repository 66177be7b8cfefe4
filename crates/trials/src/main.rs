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
mod stop;
mod trial;
mod wire;

use clap::{Parser, Subcommand};
use faults::FaultsArgs;
use std::process::ExitCode;
use stop::{Stop, Stopped};
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
    let cli = Cli::parse();
    let stop = Stop::listen()?;
    let outcome = match cli.trial {
        Trial::History(args) => trial::run(args, &stop).await,
        Trial::Faults(args) => faults::run(&args, &stop).await,
    };
    match outcome {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(error) if error.is::<Stopped>() => {
            println!("STOPPED before the end");
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error),
    }
}
