//! Does it slow down when the books grow? The same loads, between as many accounts, on an almost empty ledger
//! and on a large one.

use crate::over_http::{self, Bench};
use crate::report::{Report, Target};
use crate::world::{self, Dice};
use crate::{Args, database::Place};
use ledger_api::Ledger as _;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Transfers of one batch, and how many batches are on their way at once.
const BATCH: usize = 1_000;
const AT_ONCE: usize = 8;

pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    eprintln!("growth");
    let small = rates(args, args.accounts, 0, report).await?;
    let large = rates(args, args.grown_accounts, args.grown_transfers, report).await?;
    report.compare(
        ("w1 with large books", &large.w1),
        ("w1 with small books", &small.w1),
        "transfers/s",
        Some(Target::AtLeast(0.8)),
    );
    report.compare(
        ("w4 with large books", &large.w4),
        ("w4 with small books", &small.w4),
        "transfers/s",
        Some(Target::AtLeast(0.8)),
    );
    report.bounded("memory of the server, large books", large.memory, "MB", Target::AtMost(300.0));
    let per_transfer = large.bytes / (args.grown_transfers.max(1) as f64);
    report.plain("disk, large books, accounts included", per_transfer, "bytes a transfer");
    Ok(())
}

struct Rates {
    w1: Vec<f64>,
    w4: Vec<f64>,
    memory: f64,
    bytes: f64,
}

async fn rates(
    args: &Args,
    accounts: usize,
    transfers: usize,
    report: &mut Report,
) -> anyhow::Result<Rates> {
    let place = Place::make(args.postgres.as_deref()).await?;
    let started = Instant::now();
    let accounts = world::populate(&place, accounts).await?;
    load(&place, &accounts, transfers, args.accounts).await?;
    let seconds = started.elapsed().as_secs();
    eprintln!("  {} accounts and {transfers} transfers loaded in {seconds} s", accounts.len());
    let bytes = place.bytes().await?.all as f64;
    // As many as in small books are busy, and they lie all over the large ones.
    let every = accounts.len().div_ceil(args.accounts.max(1)).max(1);
    let busy = accounts.iter().copied().step_by(every).collect();
    let bench = Bench::start(args, &place, busy)?;
    let (mut w1, mut w4) = (Vec::new(), Vec::new());
    let token = bench.sign_in().await?;
    bench.wait_for_delivery().await?;
    for _ in 0..args.rounds {
        w1.push(bench.send("w1", bench.transfers(&token), report).await?.rate());
        bench.wait_for_delivery().await?;
        w4.push(over_http::bulk(&bench, &token, false, report).await?);
        bench.wait_for_delivery().await?;
    }
    let memory = bench.memory.get();
    bench.stop(args, &place, report)?;
    place.remove().await?;
    Ok(Rates { w1, w4, memory, bytes })
}

/// Posts transfers in this process, each between any two of `busy` neighbouring accounts; in time all accounts
/// have been busy.
async fn load(
    place: &Place,
    accounts: &Arc<[Uuid]>,
    transfers: usize,
    busy: usize,
) -> anyhow::Result<()> {
    let store = place.ledger_store().await?;
    let ledger = world::start_ledger(&store, world::ENGINE)?;
    let (mut dice, mut posting) = (Dice::new(11), JoinSet::new());
    let batches = transfers / BATCH;
    let busy = busy.min(accounts.len());
    for batch in 0..batches {
        let first = (accounts.len() - busy) * batch / batches;
        let mut transfer = || {
            let (from, to) = dice.pair(busy);
            world::transfer(accounts[first + from], accounts[first + to], 100)
        };
        let batch = (0..BATCH).map(|_| transfer()).collect();
        let ledger = ledger.clone();
        posting.spawn(async move { ledger.post_all(batch).await.map(drop) });
        while posting.len() >= AT_ONCE {
            if let Some(posted) = posting.join_next().await {
                posted??;
            }
        }
    }
    while let Some(posted) = posting.join_next().await {
        posted??;
    }
    // What nobody follows yet counts as delivered, or the server would begin with it.
    place.mark_delivered().await?;
    ledger.shut_down().await;
    store.close().await?;
    Ok(())
}
