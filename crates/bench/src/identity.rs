//! What it costs to know who calls: a token on each request, and sign-ins beside transfers.

use crate::Args;
use crate::client::{self, Outcome};
use crate::database::Place;
use crate::over_http::Bench;
use crate::report::{Report, Target};
use crate::requests::{Load, register};
use crate::world;

/// A public route that does next to nothing, so that what a token costs shows most. With rate limits a token that
/// is sent is checked there too, because a user's requests are counted apart from those of an address.
const PATH: &str = "/api/v1/ledger/checkpoints/keys";

/// Rate limits that nobody reaches.
const LIMITS: [(&str, &str); 4] = [
    ("FINITECH__RATE_LIMITING__ENABLED", "true"),
    ("FINITECH__RATE_LIMITING__GLOBAL_PER_MINUTE", "4000000000"),
    ("FINITECH__RATE_LIMITING__AUTHENTICATION_PER_FIVE_MINUTES", "4000000000"),
    ("FINITECH__RATE_LIMITING__PAYMENTS_PER_MINUTE", "4000000000"),
];

/// How many people sign in at once, each again as soon as they are in.
const SIGNING_IN: usize = 50;

/// Transfers come at this part of the peak: at the peak itself everything waits for everything.
const PART_OF_PEAK: f64 = 0.5;

#[derive(Default)]
struct Rounds {
    anonymous: Vec<f64>,
    authenticated: Vec<f64>,
    alone: Vec<f64>,
    beside: Vec<f64>,
    log_ins: Vec<f64>,
}

pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    eprintln!("identity");
    let place = Place::make(args.postgres.as_deref()).await?;
    let accounts = world::populate(&place, args.accounts).await?;
    let limits = LIMITS.map(|(name, value)| (name, value.to_owned()));
    let bench = Bench::start_with(args, &place, accounts, &limits)?;
    bench.wait_for_delivery().await?;
    for number in 0..SIGNING_IN {
        let (status, _) = client::exchange(bench.server.address, &register(number)).await?;
        anyhow::ensure!(status == 201, "registering answered {status}");
    }
    let mut rounds = Rounds::default();
    for _ in 0..args.rounds {
        tokens(&bench, &mut rounds, report).await?;
        log_ins(args, &bench, &mut rounds, report).await?;
    }
    bench.stop(args, &place, report)?;
    place.remove().await?;
    report.compare(
        ("requests with a token", &rounds.authenticated),
        ("without", &rounds.anonymous),
        "requests/s",
        Some(Target::AtLeast(0.85)),
    );
    report.compare(
        ("p99 of transfers beside 50 log-ins", &rounds.beside),
        ("alone", &rounds.alone),
        "ms",
        Some(Target::AtMost(2.0)),
    );
    report.plain("log-ins beside them", crate::report::median(&rounds.log_ins), "a second");
    Ok(())
}

async fn tokens(bench: &Bench<'_>, rounds: &mut Rounds, report: &mut Report) -> anyhow::Result<()> {
    let token = Some(bench.sign_in().await?);
    let without = bench.send("without a token", Load::Get { path: PATH, token: None }, report);
    rounds.anonymous.push(without.await?.rate());
    let with = bench.send("with a token", Load::Get { path: PATH, token }, report);
    rounds.authenticated.push(with.await?.rate());
    Ok(())
}

async fn log_ins(
    args: &Args,
    bench: &Bench<'_>,
    rounds: &mut Rounds,
    report: &mut Report,
) -> anyhow::Result<()> {
    let token = bench.sign_in().await?;
    let peak = bench.send("transfers at their peak", bench.transfers(&token), report).await?;
    bench.wait_for_delivery().await?;
    let offered = (args.connections, Some(peak.rate() * PART_OF_PEAK));
    let alone = bench.offer("half as many, alone", offered, bench.transfers(&token), report);
    rounds.alone.push(p99(&alone.await?));
    bench.wait_for_delivery().await?;
    let (address, duration) = (bench.server.address, args.duration());
    let beside = bench.offer("beside log-ins", offered, bench.transfers(&token), report);
    let log_ins = client::send(address, SIGNING_IN, Load::LogIns, duration, None);
    let (beside, log_ins) = tokio::try_join!(beside, log_ins)?;
    bench.wait_for_delivery().await?;
    rounds.beside.push(p99(&beside));
    rounds.log_ins.push(log_ins.rate());
    if let Some(example) = &log_ins.example {
        report.problem(format!("log-ins: {} answers like {example}", log_ins.unexpected));
    }
    Ok(())
}

/// In milliseconds.
fn p99(outcome: &Outcome) -> f64 {
    let latencies = &outcome.latencies;
    let at = (latencies.len() * 99 / 100).min(latencies.len().saturating_sub(1));
    f64::from(latencies.get(at).copied().unwrap_or_default()) / 1_000.0
}
