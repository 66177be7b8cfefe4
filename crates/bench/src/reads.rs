//! Reading a long history: balances of the past, and pages near and far.

use crate::client::{self, Outcome};
use crate::over_http::Bench;
use crate::report::{Report, Target};
use crate::requests::Load;
use crate::world::Dice;
use crate::{Args, Workload};
use anyhow::Context;
use kernel::{Clock as _, Timestamp};
use ledger_api::Ledger as _;
use ports::SystemClock;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Entries of the one account that has many.
const ENTRIES: usize = 1_000_000;

/// How many connections read at once: few, so that what is measured is the read and not the queue.
const CONNECTIONS: usize = 4;

/// The page far back in the history.
const FAR_PAGE: usize = 1_000;

/// How many different requests of a kind there are.
const PATHS: usize = 500;

/// An account with a long history, and when it was made.
pub(crate) struct History {
    account: Uuid,
    from: Timestamp,
    to: Timestamp,
}

impl History {
    /// Posts many transfers from the first account.
    pub(crate) async fn make(ledger: &ledger::Ledger, accounts: &[Uuid]) -> anyhow::Result<Self> {
        let (account, others) = accounts.split_first().context("no accounts")?;
        let (from, mut dice) = (SystemClock.now(), Dice::new(0));
        for _ in 0..ENTRIES / 1_000 {
            let to = |dice: &mut Dice| others[dice.roll(others.len())];
            let batch =
                (0..1_000).map(|_| crate::world::transfer(*account, to(&mut dice), 1)).collect();
            ledger.post_all(batch).await?;
        }
        Ok(Self { account: *account, from, to: SystemClock.now() })
    }
}

/// Latencies at the 99th percentile, each against that of reading one account by its id.
pub(crate) async fn measure(
    args: &Args,
    bench: &Bench<'_>,
    history: &History,
    report: &mut Report,
) -> anyhow::Result<()> {
    let token = bench.sign_in().await?;
    let account = format!("/api/v1/ledger/accounts/{}", history.account);
    let mut dice = Dice::new(3);
    let others: Vec<String> = (0..PATHS)
        .map(|_| bench.accounts[dice.roll(bench.accounts.len())])
        .map(|id| format!("/api/v1/ledger/accounts/{id}"))
        .collect();
    let span = usize::try_from(history.to.since(history.from).as_micros())?;
    let mut past = || history.from.plus(Duration::from_micros(dice.roll(span) as u64));
    let balances = |basis: &'static str, past: &mut dyn FnMut() -> Timestamp| -> Vec<String> {
        (0..PATHS).map(|_| format!("{account}/balance?at={}&basis={basis}", past())).collect()
    };
    let mut loads = vec![("one account by its id", others)];
    if args.wants(Workload::W7) {
        loads.push(("w7 balance as recorded at a past time", balances("recorded", &mut past)));
        loads.push(("w7 balance effective at a past time", balances("effective", &mut past)));
    }
    if args.wants(Workload::W8) {
        let far = far_page(bench, &token, &account).await?;
        loads.push(("w8 page 1 of 1,000,000 entries", vec![format!("{account}/entries")]));
        loads.push(("w8 page 1,000", vec![far]));
    }
    let mut p99: Vec<Vec<f64>> = vec![Vec::new(); loads.len()];
    for _ in 0..args.rounds {
        for ((name, paths), of_load) in loads.iter().zip(&mut p99) {
            let load = Load::Reads { token: token.clone(), paths: paths.clone().into() };
            let outcome = bench.send_from(name, CONNECTIONS, load, report).await?;
            of_load.push(percentile_99(&outcome));
        }
    }
    for ((name, _), of_load) in loads.iter().zip(&p99).skip(1) {
        let by_id = ("p99 of one account by its id", p99[0].as_slice());
        report.compare((*name, of_load), by_id, "ms p99", Some(Target::AtMost(5.0)));
    }
    Ok(())
}

fn percentile_99(outcome: &Outcome) -> f64 {
    let place = outcome.latencies.len() * 99 / 100;
    outcome.latencies.get(place).map_or(f64::NAN, |micros| f64::from(*micros) / 1_000.0)
}

/// The path of the far page, found by turning the pages before it.
async fn far_page(bench: &Bench<'_>, token: &Arc<str>, account: &str) -> anyhow::Result<String> {
    let mut path = format!("{account}/entries");
    for _ in 1..FAR_PAGE {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n");
        let (status, body) = client::exchange(bench.server.address, &request).await?;
        anyhow::ensure!(status == 200, "a page of entries answered {status}");
        let page: Value = serde_json::from_slice(&body)?;
        let cursor = page["nextCursor"].as_str().context("the history is too short")?;
        path = format!("{account}/entries?cursor={cursor}");
    }
    Ok(path)
}
