//! `trials faults`: one fault after the other, each with a clear answer and books that are right.

mod books;
mod commit;
mod pages;

use crate::disturbance::{
    ClockJumps, CutCommits, Disturbance, Forgets, FullVolume, Injected, InjectedFault,
    PostgresRestarts,
};
use crate::place::{Place, Store};
use crate::stop::{Stop, Stopped};
use crate::trial::{Plan, fresh_seed};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

/// Breaks one thing after the other under the program, and checks that every answer was clear and right.
#[derive(Clone, Debug, Args)]
pub(crate) struct FaultsArgs {
    /// What to break; everything when not given.
    faults: Vec<Fault>,
    /// How often each disturbance strikes.
    #[arg(long, default_value_t = 12)]
    strikes: u32,
    /// Makes the same choices again, though not at the same instants; another one each time when not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Leaves out, loudly, what this machine lacks the tools for. Without it that is a failure.
    #[arg(long)]
    skip_missing: bool,
    /// The program; finitech beside this one when not given.
    #[arg(long, value_name = "FILE")]
    finitech: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// Every write of the database fails with ENOSPC for a while.
    DiskFull,
    /// The volume of the data is really full for a while.
    VolumeFull,
    /// Every fsync fails with EIO for a while.
    FailingSync,
    /// What a failed fsync has not written is lost with the machine, and nothing that was acknowledged.
    LostPages,
    /// The clock jumps to and fro, on SQLite.
    ClockSqlite,
    /// The clock jumps to and fro, on PostgreSQL.
    ClockPostgres,
    /// PostgreSQL is stopped and started under load.
    PostgresRestart,
    /// The connection to PostgreSQL is cut in the middle of commits, under load.
    CutCommits,
    /// One commit is cut, before or after it happened: the client's retry learns which.
    UnknownCommit,
    /// The disk forgets what was durable. No program can help it: it shows that the check notices.
    Forgets,
}

impl Fault {
    async fn missing(self) -> anyhow::Result<Option<&'static str>> {
        Ok(match self {
            Self::DiskFull | Self::FailingSync | Self::LostPages => Injected::missing(),
            Self::ClockSqlite | Self::ClockPostgres => ClockJumps::missing(),
            Self::VolumeFull => FullVolume::missing().await?,
            Self::PostgresRestart | Self::CutCommits | Self::UnknownCommit | Self::Forgets => None,
        })
    }

    async fn run(self, args: &FaultsArgs, stop: &Stop) -> anyhow::Result<bool> {
        let plan = |store| Plan {
            store,
            strikes: args.strikes,
            servers: 2,
            clients: 8,
            accounts: 6,
            seed: args.seed.unwrap_or_else(fresh_seed),
            finitech: args.finitech.clone(),
            must_lose: false,
        };
        let finitech = args.finitech.as_deref();
        match self {
            Self::DiskFull => {
                on(plan(Store::Sqlite), Injected::new(InjectedFault::DiskFull), stop).await
            }
            Self::FailingSync => {
                on(plan(Store::Sqlite), Injected::new(InjectedFault::FailingSync), stop).await
            }
            Self::VolumeFull => on(plan(Store::Sqlite), FullVolume::default(), stop).await,
            Self::LostPages => by_hand(Store::Sqlite, finitech, pages::try_it, stop).await,
            Self::ClockSqlite => on(plan(Store::Sqlite), ClockJumps::default(), stop).await,
            Self::ClockPostgres => on(plan(Store::Postgres), ClockJumps::default(), stop).await,
            Self::PostgresRestart => {
                on(plan(Store::Postgres), PostgresRestarts::default(), stop).await
            }
            Self::CutCommits => {
                // Commits are frequent.
                let plan =
                    Plan { strikes: args.strikes.saturating_mul(5), ..plan(Store::Postgres) };
                on(plan, CutCommits::default(), stop).await
            }
            Self::UnknownCommit => by_hand(Store::Postgres, finitech, commit::try_it, stop).await,
            Self::Forgets => {
                // It is saved and restored in turns.
                let plan = Plan { strikes: 4, must_lose: true, ..plan(Store::Sqlite) };
                on(plan, Forgets::default(), stop).await
            }
        }
    }
}

/// Without load, step by step.
async fn by_hand(
    store: Store,
    finitech: Option<&Path>,
    try_it: impl AsyncFnOnce(&mut Place) -> anyhow::Result<()>,
    stop: &Stop,
) -> anyhow::Result<bool> {
    let mut place = Place::make(store, finitech).await?;
    let tried = stop.or(try_it(&mut place)).await;
    let is_stopped = tried.as_ref().is_err_and(|error| error.is::<Stopped>());
    if let Err(error) = &tried
        && !is_stopped
    {
        println!("  FAILED: {error:#}; everything is left in {}", place.keep().display());
    }
    let left = place.leave().await;
    if let Err(error) = &left {
        println!("  FAILED: what was started is not all gone: {error:#}");
    }
    match tried {
        Err(error) if is_stopped => Err(error),
        tried => Ok(tried.is_ok() && left.is_ok()),
    }
}

async fn on(plan: Plan, mut disturbance: impl Disturbance, stop: &Stop) -> anyhow::Result<bool> {
    plan.carry_out(&mut disturbance, stop).await
}

/// Runs them and prints what came of each; whether all was well.
pub(crate) async fn run(args: &FaultsArgs, stop: &Stop) -> anyhow::Result<bool> {
    let faults = match args.faults.as_slice() {
        [] => Fault::value_variants(),
        some => some,
    };
    let (mut failed, mut skipped) = (Vec::new(), Vec::new());
    for fault in faults {
        let name = fault.to_possible_value().map(|value| value.get_name().to_owned());
        let name = name.unwrap_or_default();
        println!("== {name}");
        if let Some(missing) = fault.missing().await? {
            println!("  NOT TRIED: this machine lacks {missing}");
            if args.skip_missing {
                skipped.push(name);
            } else {
                failed.push(name);
            }
        } else if !fault.run(args, stop).await? {
            failed.push(name);
        }
    }
    let tried = faults.len().saturating_sub(skipped.len());
    println!("== {tried} faults tried, failed: {failed:?}, not tried: {skipped:?}");
    Ok(failed.is_empty())
}
