//! One transfer a request, over HTTP to the real program.

use crate::bare::{self, Pgbench};
use crate::client::{self, Outcome};
use crate::database::Place;
use crate::report::{Report, Target};
use crate::requests::{ADMIN, Between, Load, Posted, client_token, log_in, make_client};
use crate::server::{self, Server};
use crate::{Args, Workload, reads, world};
use anyhow::Context;
use serde_json::Value;
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long events may take to be delivered after a load.
const DELIVERY_MAX: Duration = Duration::from_secs(300);

/// Transfers in each request of w4, and how many connections send them.
const BULK_SIZE: usize = 1_000;
const BULK_CONNECTIONS: usize = 8;

/// The same with `Prefer: return=minimal`.
const W4_MINIMAL: &str = "w4 with minimal answers";

/// Rates by round.
#[derive(Default)]
struct Rates {
    live: Vec<f64>,
    pgbench: Vec<f64>,
    w1: Vec<f64>,
    w2: Vec<f64>,
    w3: Vec<f64>,
    bare: Vec<f64>,
    w4: Vec<f64>,
    w4_minimal: Vec<f64>,
    w5: Vec<f64>,
    w6: Vec<f64>,
}

/// What else is known about the transfers of w1, over all rounds.
#[derive(Default)]
struct Costs {
    posted: Vec<Posted>,
    latencies: Vec<u32>,
    /// Of the server, per 1,000 transfers, by round.
    cpu: Vec<f64>,
    /// And per 1,000 answers of /health/live.
    cpu_live: Vec<f64>,
    bytes: i64,
    journal_bytes: i64,
    delivery_seconds: f64,
}

pub(crate) struct Bench<'a> {
    args: &'a Args,
    place: &'a Place,
    pub(crate) server: Server,
    pub(crate) accounts: Arc<[Uuid]>,
    /// The most memory that was resident at the end of a load, in MB.
    pub(crate) memory: Cell<f64>,
}

pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    eprintln!("over HTTP");
    let pgbench = match &args.postgres {
        Some(url) => Pgbench::make(url).await?,
        None => None,
    };
    let place = Place::make(args.postgres.as_deref()).await?;
    let accounts = world::populate(&place, args.accounts).await?;
    let history = match Workload::READS.into_iter().any(|one| args.wants(one)) {
        true => Some(world::with_history(&place, &accounts).await?),
        false => None,
    };
    let bench = Bench::start(args, &place, accounts)?;
    bench.wait_for_delivery().await?;
    let (mut rates, mut costs) = (Rates::default(), Costs::default());
    if Workload::WRITES.into_iter().any(|one| args.wants(one)) {
        for _ in 0..args.rounds {
            bench.round(pgbench.as_ref(), &mut rates, &mut costs, report).await?;
        }
    }
    if let Some(history) = &history {
        bench.wait_for_delivery().await?;
        reads::measure(args, &bench, history, report).await?;
    }
    let (memory, (_, peak_memory)) = (bench.memory.get(), bench.server.memory()?);
    bench.stop(args, &place, report)?;
    place.remove().await?;
    if let Some(pgbench) = pgbench {
        pgbench.remove().await?;
    }
    if !rates.w1.is_empty() {
        add_rates(&rates, report);
        add_costs(costs, report);
    }
    report.bounded("memory of the server after a load", memory, "MB", Target::AtMost(300.0));
    report.plain("peak memory, password hashes included", peak_memory, "MB");
    Ok(())
}

impl<'a> Bench<'a> {
    pub(crate) fn start(
        args: &'a Args,
        place: &'a Place,
        accounts: Arc<[Uuid]>,
    ) -> anyhow::Result<Self> {
        Self::start_with(args, place, accounts, &[])
    }

    /// With more of the environment.
    pub(crate) fn start_with(
        args: &'a Args,
        place: &'a Place,
        accounts: Arc<[Uuid]>,
        environment: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let server = Server::start(args, place, environment)?;
        Ok(Self { args, place, server, accounts, memory: Cell::new(0.0) })
    }

    /// Ends the server and verifies what it leaves behind.
    pub(crate) fn stop(
        self,
        args: &Args,
        place: &Place,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        self.server.stop()?;
        if let Err(findings) = server::verify(args, place)? {
            report.problem(format!("finitech ledger verify: {findings}"));
        }
        Ok(())
    }

    /// The load of w1.
    pub(crate) fn transfers(&self, token: &Arc<str>) -> Load {
        let (token, accounts) = (token.clone(), self.accounts.clone());
        Load::Transfers { token, accounts, between: Between::Any }
    }

    async fn round(
        &self,
        pgbench: Option<&Pgbench>,
        rates: &mut Rates,
        costs: &mut Costs,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        self.wait_for_delivery().await?;
        if let Some(pgbench) = pgbench {
            rates.pgbench.push(pgbench.run(self.args.duration())?);
        }
        let token = self.sign_in().await?;
        let cpu = self.server.cpu_seconds()?;
        let live =
            self.send("live", Load::Get { path: "/health/live", token: None }, report).await?;
        costs.cpu_live.push(per_thousand(self.server.cpu_seconds()? - cpu, live.total));
        rates.live.push(live.rate());
        let transfers = |between| Load::Transfers {
            token: token.clone(),
            accounts: self.accounts.clone(),
            between,
        };
        rates.w1.push(self.w1(transfers(Between::Any), costs, report).await?);
        if self.args.wants(Workload::W2) {
            let outcome = self.send("w2", transfers(Between::From(0)), report).await?;
            rates.w2.push(outcome.rate());
            self.wait_for_delivery().await?;
        }
        if self.args.wants(Workload::W3) {
            let outcome = self.send("w3", transfers(Between::To(1)), report).await?;
            rates.w3.push(outcome.rate());
            self.wait_for_delivery().await?;
        }
        if self.args.wants(Workload::W4) {
            let mut bare = bare::Loop::make(self.args).await?;
            rates.bare.push(bare.run(self.args.duration()).await?);
            bare.remove().await?;
            rates.w4.push(bulk(self, &token, false, report).await?);
            self.wait_for_delivery().await?;
            rates.w4_minimal.push(bulk(self, &token, true, report).await?);
            self.wait_for_delivery().await?;
        }
        if self.args.wants(Workload::W6) {
            let (token, accounts) = (token.clone(), self.accounts.clone());
            let outcome = self.send("w6", Load::Captures { token, accounts }, report).await?;
            rates.w6.push(outcome.rate());
            self.wait_for_delivery().await?;
        }
        if self.args.wants(Workload::W5) && !costs.posted.is_empty() {
            let (accounts, posted) = (self.accounts.clone(), costs.posted.clone().into());
            let outcome =
                self.send("w5", Load::Replays { token, accounts, posted }, report).await?;
            rates.w5.push(outcome.rate());
        }
        Ok(())
    }

    /// Transfers between any accounts, with everything that they cost.
    async fn w1(&self, load: Load, costs: &mut Costs, report: &mut Report) -> anyhow::Result<f64> {
        let (bytes, cpu) = (self.place.bytes().await?, self.server.cpu_seconds()?);
        let outcome = self.send("w1", load, report).await?;
        let sent = Instant::now();
        self.wait_for_delivery().await?;
        costs.delivery_seconds = costs.delivery_seconds.max(sent.elapsed().as_secs_f64());
        // With the delivery of their events.
        costs.cpu.push(per_thousand(self.server.cpu_seconds()? - cpu, outcome.total));
        let after = self.place.bytes().await?;
        costs.bytes += i64::try_from(after.all)? - i64::try_from(bytes.all)?;
        costs.journal_bytes += i64::try_from(after.journal)? - i64::try_from(bytes.journal)?;
        let rate = outcome.rate();
        costs.latencies.extend(outcome.latencies);
        costs.posted.extend(outcome.posted);
        Ok(rate)
    }

    pub(crate) async fn send(
        &self,
        name: &str,
        load: Load,
        report: &mut Report,
    ) -> anyhow::Result<Outcome> {
        self.send_from(name, self.args.connections, load, report).await
    }

    pub(crate) async fn send_from(
        &self,
        name: &str,
        connections: usize,
        load: Load,
        report: &mut Report,
    ) -> anyhow::Result<Outcome> {
        self.offer(name, (connections, None), load, report).await
    }

    /// From so many connections, and so many a second if given.
    pub(crate) async fn offer(
        &self,
        name: &str,
        (connections, offered): (usize, Option<f64>),
        load: Load,
        report: &mut Report,
    ) -> anyhow::Result<Outcome> {
        let Self { args, server, .. } = self;
        let (address, duration) = (server.address, args.duration());
        let outcome = client::send(address, connections, load, duration, offered).await?;
        self.memory.set(self.memory.get().max(server.memory()?.0));
        eprintln!("  {name}: {:.0}/s", outcome.rate());
        if let Some(example) = &outcome.example {
            report.problem(format!("{name}: {} answers like {example}", outcome.unexpected));
        }
        Ok(outcome)
    }

    /// The token of an API client: what people do to the books is written down one by one, and nobody posts
    /// thousands of transfers a second by hand.
    pub(crate) async fn sign_in(&self) -> anyhow::Result<Arc<str>> {
        let person = self.ask(200, &log_in(ADMIN)).await?;
        let client = self.ask(201, &make_client(text(&person, "accessToken")?)).await?;
        let (id, secret) = (text(&client, "id")?, text(&client, "clientSecret")?);
        let token = self.ask(200, &client_token(id, secret)).await?;
        Ok(text(&token, "access_token")?.into())
    }

    async fn ask(&self, expected: u16, request: &str) -> anyhow::Result<Value> {
        let (status, body) = client::exchange(self.server.address, request).await?;
        let body = String::from_utf8_lossy(&body);
        anyhow::ensure!(status == expected, "a server answered {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    /// What one load left to be delivered must not burden the next.
    pub(crate) async fn wait_for_delivery(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        while self.place.undelivered().await? > 0 {
            anyhow::ensure!(started.elapsed() < DELIVERY_MAX, "the events are not delivered");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

fn text<'a>(body: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    body[name].as_str().with_context(|| format!("no {name} in an answer"))
}

/// Transfers a second in requests of many, which are sent back unless `is_minimal`.
pub(crate) async fn bulk(
    bench: &Bench<'_>,
    token: &Arc<str>,
    is_minimal: bool,
    report: &mut Report,
) -> anyhow::Result<f64> {
    let (token, accounts) = (token.clone(), bench.accounts.clone());
    let bulk = Load::Bulk { token, accounts, size: BULK_SIZE, is_minimal };
    let name = if is_minimal { W4_MINIMAL } else { "w4" };
    Ok(bench.send_from(name, BULK_CONNECTIONS, bulk, report).await?.rate())
}

fn per_thousand(seconds: f64, answers: u32) -> f64 {
    seconds * 1_000.0 / f64::from(answers.max(1))
}

fn add_rates(rates: &Rates, report: &mut Report) {
    let w1 = ("w1", rates.w1.as_slice());
    // The target of an HTTP answer is meant for the embedded store.
    if rates.pgbench.is_empty() {
        let live = ("/health/live", rates.live.as_slice());
        report.compare(w1, live, "transfers/s", Some(Target::AtLeast(0.25)));
    } else {
        let pgbench = ("pgbench", rates.pgbench.as_slice());
        report.compare(w1, pgbench, "transfers/s", Some(Target::AtLeast(4.0)));
    }
    if !rates.w4.is_empty() {
        let bare = ("bare loop", rates.bare.as_slice());
        for (name, values) in [("w4", &rates.w4), (W4_MINIMAL, &rates.w4_minimal)] {
            report.compare((name, values), bare, "transfers/s", Some(Target::AtLeast(0.5)));
        }
    }
    let others = [
        ("w2", &rates.w2, 0.8),
        ("w3", &rates.w3, 0.8),
        ("w5", &rates.w5, 1.0),
        ("w6", &rates.w6, 0.5),
    ];
    for (name, values, least) in others {
        if !values.is_empty() {
            report.compare((name, values), w1, "transfers/s", Some(Target::AtLeast(least)));
        }
    }
    report.plain("/health/live", crate::report::median(&rates.live), "requests/s");
}

fn add_costs(mut costs: Costs, report: &mut Report) {
    costs.latencies.sort_unstable();
    let latencies = costs.latencies.as_slice();
    let at = |part: usize, of: usize| {
        let place = (latencies.len() * part / of).min(latencies.len().saturating_sub(1));
        f64::from(latencies.get(place).copied().unwrap_or_default()) / 1_000.0
    };
    report.plain("w1 latency p50", at(50, 100), "ms");
    report.plain("w1 latency p99", at(99, 100), "ms");
    report.plain("w1 latency max", at(1, 1), "ms");
    let transfers = costs.posted.len() as f64;
    report.compare(
        ("server CPU per 1,000 transfers of w1", &costs.cpu),
        ("per 1,000 /health/live", &costs.cpu_live),
        "s",
        None,
    );
    report.plain("events delivered after w1 by", costs.delivery_seconds, "s");
    let (bytes, journal) = (costs.bytes as f64, costs.journal_bytes as f64);
    report.bounded("disk per transfer", bytes / transfers, "bytes", Target::AtMost(600.0));
    report.plain("of it transactions and entries", journal / transfers, "bytes");
}
