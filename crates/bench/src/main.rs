#![doc = include_str!("../README.md")]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::unwrap_used,
    clippy::float_arithmetic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring program: figures are small, ratios are floats, and the table is its output"
)]

mod against;
mod bare;
mod client;
mod database;
mod engine;
mod growth;
mod identity;
mod over_http;
mod overload;
mod reads;
mod report;
mod requests;
mod server;
mod world;

use clap::{Parser, ValueEnum};
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Measures the ledger with all guarantees on, as ratios to baselines of the same run.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", version)]
struct Args {
    /// A PostgreSQL server; a database is made on it and dropped afterwards. SQLite without.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// How long each figure is measured in each round, after a second of warming up.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often everything is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many accounts there are.
    #[arg(long, default_value_t = 100_000)]
    accounts: usize,
    /// How many accounts and transfers there are in the large books of `growth`.
    #[arg(long, default_value_t = 10_000_000)]
    grown_accounts: usize,
    #[arg(long, default_value_t = 20_000_000)]
    grown_transfers: usize,
    /// How many connections send requests, one at a time each.
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// The server program; finitech beside this one when not given.
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Another build of this program, with its server beside it: the throughputs of the workloads are
    /// measured with both in alternation, and compared.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Write the figures to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What to measure; everything when not given.
    workloads: Vec<Workload>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Workload {
    Engine,
    W1,
    W2,
    W3,
    W4,
    W5,
    W6,
    W7,
    W8,
    Overload,
    Identity,
    /// Only when named: it takes long.
    Growth,
}

impl Workload {
    /// Those that need the real program, and write or read.
    const WRITES: [Self; 6] = [Self::W1, Self::W2, Self::W3, Self::W4, Self::W5, Self::W6];
    const READS: [Self; 2] = [Self::W7, Self::W8];
}

impl Args {
    fn wants(&self, workload: Workload) -> bool {
        let all = self.workloads.is_empty() && workload != Workload::Growth;
        all || self.workloads.contains(&workload)
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds.max(1))
    }
}

/// Not measured yet at the beginning of each figure.
const WARM_UP: Duration = Duration::from_secs(1);

fn main() -> anyhow::Result<ExitCode> {
    let mut args = Args::parse();
    anyhow::ensure!(args.accounts >= 2, "a transfer needs two accounts");
    args.rounds = args.rounds.max(1);
    args.connections = args.connections.max(1);
    let store = if args.postgres.is_some() { "PostgreSQL" } else { "SQLite" };
    let mut report = Report::new(store, &args);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(other) = &args.against {
        against::measure(&args, other, &mut report)?;
        return finish(&args, &report);
    }
    if args.wants(Workload::Engine) {
        runtime.block_on(engine::measure(&args, &mut report))?;
    }
    if Workload::WRITES.into_iter().chain(Workload::READS).any(|one| args.wants(one)) {
        runtime.block_on(over_http::measure(&args, &mut report))?;
    }
    if args.wants(Workload::Overload) {
        runtime.block_on(overload::measure(&args, &mut report))?;
    }
    if args.wants(Workload::Identity) {
        runtime.block_on(identity::measure(&args, &mut report))?;
    }
    if args.wants(Workload::Growth) {
        runtime.block_on(growth::measure(&args, &mut report))?;
    }
    finish(&args, &report)
}

fn finish(args: &Args, report: &Report) -> anyhow::Result<ExitCode> {
    print!("{}", report.table());
    if let Some(file) = &args.json {
        std::fs::write(file, report.json())?;
    }
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
