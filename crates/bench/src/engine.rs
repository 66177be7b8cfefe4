//! The engine through the ledger's facade, in this process: how fast it is when nothing else is in the way.

use crate::database::Place;
use crate::report::{Report, Target};
use crate::world::{self, Dice};
use crate::{Args, WARM_UP, bare};
use ledger::Ledger;
use ledger_api::Ledger as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;
use uuid::Uuid;

/// How many callers post at once: enough to fill one group while another is being written.
const CALLERS: usize = 16_000;

pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    eprintln!("engine");
    let place = Place::make(args.postgres.as_deref()).await?;
    let accounts = world::populate(&place, args.accounts).await?;
    let mut bare = bare::Loop::make(args).await?;
    let (mut rates, mut baselines) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        baselines.push(bare.run(args.duration()).await?);
        rates.push(run(args, &place, accounts.clone()).await?);
    }
    bare.remove().await?;
    let store = place.ledger_store().await?;
    let started = Instant::now();
    let verified = ledger::verify(&store, &ledger::Verification::default(), |_, _| {}).await?;
    if verified.findings_total > 0 {
        report.problem(format!("engine: {:?}", verified.findings.first()));
    }
    let verified = verified.transactions as f64 / started.elapsed().as_secs_f64();
    report.bounded("verification", verified, "transfers/s", Target::AtLeast(300_000.0));
    store.close().await?;
    place.remove().await?;
    report.compare(
        ("engine", &rates),
        ("bare loop", &baselines),
        "transfers/s",
        Some(Target::AtLeast(0.33)),
    );
    Ok(())
}

/// What the callers share.
struct Shared {
    ledger: Ledger,
    accounts: Arc<[Uuid]>,
    posted: AtomicU64,
    stop: AtomicBool,
}

async fn run(args: &Args, place: &Place, accounts: Arc<[Uuid]>) -> anyhow::Result<f64> {
    let store = place.ledger_store().await?;
    let ledger = world::start_ledger(&store, world::ENGINE)?;
    let (posted, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let shared = Arc::new(Shared { ledger, accounts, posted, stop });
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(post(shared.clone(), Dice::new(caller)));
    }
    tokio::time::sleep(WARM_UP).await;
    let (before, started) = (shared.posted.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(args.duration()).await;
    let posted = shared.posted.load(Ordering::Relaxed) - before;
    let seconds = started.elapsed().as_secs_f64();
    shared.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    shared.ledger.shut_down().await;
    store.close().await?;
    Ok(f64::from(u32::try_from(posted)?) / seconds)
}

async fn post(shared: Arc<Shared>, mut dice: Dice) -> anyhow::Result<()> {
    while !shared.stop.load(Ordering::Relaxed) {
        let (from, to) = dice.pair(shared.accounts.len());
        let amount = i64::try_from(dice.roll(900))? + 100;
        let transfer = world::transfer(shared.accounts[from], shared.accounts[to], amount);
        shared.ledger.post(transfer).await?;
        shared.posted.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
