//! Does it do less when it is asked for more? The peak, and then twice as much, on a queue that is full soon.

use crate::Args;
use crate::database::Place;
use crate::over_http::Bench;
use crate::report::{Report, Target};
use crate::world;

/// How much more is offered than can be done.
const TIMES: f64 = 2.0;

/// How many more connections offer it: answers take longer, and each connection waits for its own.
const CONNECTIONS_TIMES: usize = 4;

pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    eprintln!("overload");
    let place = Place::make(args.postgres.as_deref()).await?;
    let accounts = world::populate(&place, args.accounts).await?;
    // At the peak there is room for everybody: nobody has more than one request on its way.
    let queue = [("FINITECH__LEDGER__QUEUE_MAX", args.connections.to_string())];
    let bench = Bench::start_with(args, &place, accounts, &queue)?;
    let (mut peaks, mut rates, mut shed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let token = bench.sign_in().await?;
        let peak = bench.send("the peak", bench.transfers(&token), report).await?.rate();
        bench.wait_for_delivery().await?;
        let (connections, offered) = (args.connections * CONNECTIONS_TIMES, peak * TIMES);
        let load = bench.transfers(&token);
        let over =
            bench.offer("twice the peak", (connections, Some(offered)), load, report).await?;
        bench.wait_for_delivery().await?;
        peaks.push(peak);
        rates.push(over.rate());
        shed.extend(over.shed);
    }
    bench.stop(args, &place, report)?;
    place.remove().await?;
    report.compare(
        ("w1 when twice as much is offered", &rates),
        ("w1 at its peak", &peaks),
        "transfers/s",
        Some(Target::AtLeast(0.9)),
    );
    shed.sort_unstable();
    let at = (shed.len() * 99 / 100).min(shed.len().saturating_sub(1));
    let slowest = f64::from(shed.get(at).copied().unwrap_or_default()) / 1_000.0;
    let measured = args.rounds as f64 * args.duration().as_secs_f64();
    report.plain("answers 503 meanwhile", shed.len() as f64 / measured, "a second");
    report.plain("their p99", slowest, "ms");
    Ok(())
}
