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
use tokio::signal::unix::{SignalKind, signal};
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
    let trial = async {
        match cli.trial {
            Trial::History(args) => trial::run(args).await,
            Trial::Faults(args) => faults::run(&args).await,
        }
    };
    // What the trial has started ends with it, whoever ends it.
    let is_sound = tokio::select! {
        is_sound = trial => is_sound?,
        stopped = stop_signal() => {
            stopped?;
            println!("STOPPED before the end");
            false
        }
    };
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn stop_signal() -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
