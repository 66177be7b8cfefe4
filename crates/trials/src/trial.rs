//! `trials history`: clients, kills, and the check of everything that was answered.

use crate::dice::Dice;
use crate::disturbance::{Disturbance, Kills, Scene};
use crate::history::check::{LOST, check};
use crate::history::{History, Line, Outcome, Refusal};
use crate::load::codec::{Accounts, CURRENCY, items};
use crate::load::{Caller, Client, Fleet, Known, Notes};
use crate::place::{Place, Store};
use crate::servers::Servers;
use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::task::JoinSet;

/// What each account begins with: enough for some transfers and too little for many.
const FUNDS: i64 = 1_000;

/// How many violations are printed.
const SHOWN_MAX: usize = 20;

/// Clients move money and read while servers, and PostgreSQL, are killed; then every answer is checked.
#[derive(Clone, Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Where the books are kept.
    #[arg(long, value_enum)]
    store: Store,
    /// How often something is killed with SIGKILL and started again.
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// How many clients ask, one thing at a time each.
    #[arg(long, default_value_t = 12)]
    clients: usize,
    /// How many server processes share the database; on SQLite it is one.
    #[arg(long, default_value_t = 3)]
    servers: usize,
    /// How many accounts the money goes to and fro between.
    #[arg(long, default_value_t = 6)]
    accounts: usize,
    /// Makes the same choices again, though not at the same instants; another one each time when not given.
    #[arg(long)]
    seed: Option<u64>,
    /// The program; finitech beside this one when not given.
    #[arg(long, value_name = "FILE")]
    finitech: Option<PathBuf>,
}

/// How one trial goes.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) store: Store,
    /// How often the disturbance strikes.
    pub(crate) strikes: u32,
    pub(crate) servers: usize,
    pub(crate) clients: usize,
    pub(crate) accounts: usize,
    pub(crate) seed: u64,
    pub(crate) finitech: Option<PathBuf>,
    /// Acknowledged records get lost, and the check must say so.
    pub(crate) must_lose: bool,
}

/// Runs `trials history` and prints what came of it; whether all was well.
pub(crate) async fn run(args: HistoryArgs) -> anyhow::Result<bool> {
    let plan = Plan {
        store: args.store,
        strikes: args.kills,
        servers: args.servers,
        clients: args.clients,
        accounts: args.accounts,
        seed: args.seed.unwrap_or_else(fresh_seed),
        finitech: args.finitech,
        must_lose: false,
    };
    plan.carry_out(&mut Kills::default()).await
}

pub(crate) fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // Fits the command line of the next run without a thought about signs.
    RandomState::new().build_hasher().finish() >> 1
}

impl Plan {
    /// Lets the clients work and the disturbance strike, checks all of it and prints what came of it; whether
    /// all was well.
    pub(crate) async fn carry_out(
        &self,
        disturbance: &mut impl Disturbance,
    ) -> anyhow::Result<bool> {
        anyhow::ensure!(self.accounts >= 2, "a transfer needs two accounts");
        let Self { store, clients, seed, .. } = self;
        println!("{}, {clients} clients, seed {seed}", store.name());
        let mut place = Place::make(*store, self.finitech.as_deref()).await?;
        disturbance.prepare(&mut place).await?;
        let tried = Trial::run(self, &mut place, disturbance).await;
        println!("  {}", disturbance.tally());
        let is_sound = match &tried {
            Ok(tried) if self.must_lose => {
                tried.count();
                tried.violations.iter().any(|violation| violation.starts_with(LOST))
            }
            Ok(tried) => {
                tried.count();
                tried.show();
                tried.violations.is_empty()
            }
            Err(error) => {
                println!("  FAILED: {error:#}");
                false
            }
        };
        if !is_sound {
            println!("  seed {seed}; everything is left in {}", place.folder.path().display());
        }
        disturbance.clean_up().await?;
        place.leave(!is_sound).await?;
        Ok(is_sound)
    }
}

/// What a trial left.
struct Trial {
    history: History,
    unknown: usize,
    unavailable: (u64, u64),
    seconds: u64,
    violations: Vec<String>,
}

impl Trial {
    async fn run(
        plan: &Plan,
        place: &mut Place,
        disturbance: &mut impl Disturbance,
    ) -> anyhow::Result<Self> {
        let servers = if plan.store == Store::Sqlite { 1 } else { plan.servers.max(1) };
        let mut dice = Dice::new(plan.seed);
        let fleet = Arc::new(Fleet::new(servers));
        let mut servers = Servers::start(servers, place, &fleet).await?;
        let begun = Instant::now();

        let mut ids = dice.part(0);
        let accounts = Arc::new(Accounts((0..=plan.accounts).map(|_| ids.id()).collect()));
        let mut caller = Caller::new(&fleet, 0);
        let base_sequence = open_accounts(&mut caller, &accounts).await?;

        let known = Arc::new(Mutex::new(Known::default()));
        let mut overseer = Client::new(0, &fleet, &accounts, &known, dice.part(1));
        overseer.fund(FUNDS).await?;
        let mut clients = JoinSet::new();
        for number in 1..=plan.clients {
            let (fleet, accounts) = (fleet.clone(), accounts.clone());
            let (known, dice) =
                (known.clone(), dice.part(u64::try_from(number)?.saturating_add(9)));
            clients.spawn(async move {
                let client = Client::new(number, &fleet, &accounts, &known, dice);
                let notes = client.run().await;
                if notes.is_err() {
                    // Nothing that follows would be worth its time.
                    fleet.end();
                }
                notes
            });
        }

        let mut reached = 0;
        while disturbance.count() < plan.strikes && fleet.goes_on() {
            let mut scene =
                Scene { place: &mut *place, servers: &mut servers, fleet: &fleet, dice: &mut dice };
            disturbance.strike(&mut scene).await?;
            if disturbance.count() / 50 > reached {
                reached = disturbance.count() / 50;
                eprintln!("  {} of {}", disturbance.count(), plan.strikes);
            }
        }
        fleet.end();
        let mut notes = Notes::default();
        while let Some(client) = clients.join_next().await {
            merge(&mut notes, client??);
        }
        overseer.look_at_everything().await?;
        merge(&mut notes, overseer.notes);
        let journal = journal(&mut caller, &accounts, base_sequence).await?;
        servers.stop().await?;

        let seconds = begun.elapsed().as_secs();
        let Notes { operations, reads, unknown, faults } = notes;
        let history =
            History { accounts: accounts.0.len(), base_sequence, operations, reads, journal };
        let recorded = history.journal.len();
        anyhow::ensure!(recorded > usize::try_from(plan.strikes)?, "there was hardly any load");
        let mut violations = check(&history);
        violations.extend(faults);
        let (is_sound, findings) = place.verify().await?;
        println!("  {}", findings.trim());
        if !is_sound {
            violations.push(format!("finitech ledger verify: {findings}"));
        }
        let unavailable = fleet.unavailable();
        Ok(Self { history, unknown, unavailable, seconds, violations })
    }

    /// Prints how much of everything there was.
    fn count(&self) {
        let History { operations, reads, journal, .. } = &self.history;
        let mut refusals: BTreeMap<&str, usize> = BTreeMap::new();
        let mut recorded: usize = 0;
        for operation in operations {
            match operation.outcome {
                Outcome::Recorded(_) => recorded = recorded.saturating_add(1),
                Outcome::Refused(refusal) => {
                    let count = refusals.entry(name(refusal)).or_default();
                    *count = count.saturating_add(1);
                }
            }
        }
        let (answers, broken) = self.unavailable;
        let refused: usize = refusals.values().sum();
        println!(
            "  in {} s {} operations ({recorded} acknowledged, {refused} refused: {refusals:?})",
            self.seconds,
            operations.len()
        );
        println!(
            "  unknown for a while, then resolved: {} (answers 503: {answers}, connections broken \
             or refused: {broken})",
            self.unknown
        );
        println!("  records of the journal: {}, reads checked: {}", journal.len(), reads.len());
        println!("  violations: {}", self.violations.len());
    }

    /// Prints what is wrong.
    fn show(&self) {
        for violation in self.violations.iter().take(SHOWN_MAX) {
            println!("  - {violation}");
        }
    }
}

fn name(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::InsufficientFunds { .. } => "insufficient_funds",
        Refusal::ReversalExceedsOriginal { .. } => "reversal_exceeds_original",
        Refusal::HoldNotPending => "hold_not_pending",
        Refusal::CaptureExceedsHold { .. } => "capture_exceeds_hold",
    }
}

fn merge(notes: &mut Notes, more: Notes) {
    notes.operations.extend(more.operations);
    notes.reads.extend(more.reads);
    notes.unknown = notes.unknown.saturating_add(more.unknown);
    notes.faults.extend(more.faults);
}

/// Opens the accounts and answers with the journal's last number: the demo world has been recorded before,
/// and nobody but the trial writes from here on.
async fn open_accounts(caller: &mut Caller<'_>, accounts: &Accounts) -> anyhow::Result<i64> {
    for (number, id) in accounts.0.iter().enumerate() {
        let (side, constraint) = match number {
            0 => ("debit", "unlimited"),
            _ => ("credit", "non_negative"),
        };
        let body = json!({
            "id": id,
            "name": format!("Trial {number}"),
            "currencyCode": CURRENCY,
            "normalSide": side,
            "constraint": { "type": constraint },
        });
        let opened = caller.ask("/api/v1/ledger/accounts", Some(&body)).await?.answer;
        anyhow::ensure!([200, 201].contains(&opened.status), "opening an account: {opened:?}");
    }
    let first = accounts.0.first().context("no accounts")?;
    let balance = caller.ask(&format!("/api/v1/ledger/accounts/{first}/balance"), None).await?;
    balance.answer.body["asOfSequence"].as_i64().context("a balance without asOfSequence")
}

/// Everything that was recorded after the base.
async fn journal(
    caller: &mut Caller<'_>,
    accounts: &Accounts,
    base: i64,
) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for list in ["transactions", "holds"] {
        let mut cursor = String::new();
        'pages: loop {
            let path = format!("/api/v1/ledger/{list}?limit=200{cursor}");
            let page = caller.ask(&path, None).await?.answer;
            anyhow::ensure!(page.status == 200, "{path}: {page:?}");
            for item in items(&page.body)? {
                if item["sequence"].as_i64().is_some_and(|sequence| sequence <= base) {
                    break 'pages;
                }
                lines.push(accounts.line(item)?);
            }
            match &page.body["nextCursor"] {
                Value::String(next) => cursor = format!("&cursor={next}"),
                _ => break,
            }
        }
    }
    lines.sort_by_key(|line| line.sequence);
    Ok(lines)
}
