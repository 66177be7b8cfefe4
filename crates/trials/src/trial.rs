//! `trials history`: clients, kills, and the check of everything that was answered.

use crate::dice::Dice;
use crate::disturbance::{Disturbance, Kills, Scene};
use crate::history::check::{LOST, check};
use crate::history::{History, Outcome, Refusal};
use crate::load::books::{journal, open_accounts};
use crate::load::codec::Accounts;
use crate::load::{Caller, Client, Fleet, Known, Notes, Unanswered};
use crate::place::{Place, Store};
use crate::servers::Servers;
use crate::stop::{Stop, Stopped};
use clap::Args;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::task::JoinSet;
use uuid::Uuid;

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
pub(crate) async fn run(args: HistoryArgs, stop: &Stop) -> anyhow::Result<bool> {
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
    plan.carry_out(&mut Kills::default(), stop).await
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
        stop: &Stop,
    ) -> anyhow::Result<bool> {
        anyhow::ensure!(self.accounts >= 2, "a transfer needs two accounts");
        let Self { store, clients, seed, .. } = self;
        println!("{}, {clients} clients, seed {seed}", store.name());
        let mut place = Place::make(*store, self.finitech.as_deref()).await?;
        let tried = stop.or(Trial::run(self, &mut place, disturbance)).await;
        println!("  {}", disturbance.tally());
        let is_stopped = tried.as_ref().is_err_and(|error| error.is::<Stopped>());
        let is_sound = match &tried {
            Ok(tried) => {
                tried.count();
                self.judge(tried)
            }
            Err(_) if is_stopped => false,
            Err(error) => {
                println!("  FAILED: {error:#}");
                false
            }
        };
        let keep = !is_sound && !is_stopped;
        if keep {
            println!("  seed {seed}; everything is left in {}", place.keep().display());
        }
        let cleaned = disturbance.clean_up(&place, keep).await;
        let left = place.leave().await;
        let is_all_gone = cleaned.is_ok() && left.is_ok();
        for error in [cleaned, left].into_iter().filter_map(Result::err) {
            println!("  FAILED: what was started is not all gone: {error:#}");
        }
        match tried {
            Err(error) if is_stopped => Err(error),
            _ => Ok(is_sound && is_all_gone),
        }
    }

    /// Says what is wrong; whether nothing is.
    fn judge(&self, tried: &Trial) -> bool {
        if !self.must_lose {
            tried.show();
            return tried.violations.is_empty();
        }
        let named = tried.names_what_is_lost();
        if let Err(error) = &named {
            println!("  FAILED: {error:#}");
        }
        named.is_ok()
    }
}

/// What a trial left.
struct Trial {
    history: History,
    /// What the clients counted.
    notes: Notes,
    unanswered: Unanswered,
    seconds: u64,
    /// Whether the program finds its own books sound.
    is_verified: bool,
    violations: Vec<String>,
}

impl Trial {
    async fn run(
        plan: &Plan,
        place: &mut Place,
        disturbance: &mut impl Disturbance,
    ) -> anyhow::Result<Self> {
        disturbance.prepare(place).await?;
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
            let mut scene = Scene {
                place: &mut *place,
                servers: &mut servers,
                fleet: &fleet,
                dice: &mut dice,
                is_last: disturbance.count().saturating_add(1) >= plan.strikes,
            };
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
        if !plan.must_lose {
            // What is lost would be recorded anew.
            overseer.repeat_everything().await?;
        }
        merge(&mut notes, overseer.notes);
        disturbance.was_felt(&notes)?;
        anyhow::ensure!(notes.doubled > 0, "nothing was asked for twice at once");
        anyhow::ensure!(notes.repeated > 0, "nothing was asked for again");
        // What is read is what is stored: nobody who knows anything from before is asked.
        servers.stop(&fleet).await?;
        let mut servers = Servers::start(1, place, &fleet).await?;
        let (journal, backwards) = journal(&mut caller, &accounts, base_sequence).await?;
        servers.must_live()?;
        servers.stop(&fleet).await?;

        let seconds = begun.elapsed().as_secs();
        let history = History {
            accounts: accounts.0.len(),
            base_sequence,
            operations: std::mem::take(&mut notes.operations),
            reads: std::mem::take(&mut notes.reads),
            journal,
        };
        let recorded = history.journal.len();
        anyhow::ensure!(recorded > usize::try_from(plan.strikes)?, "there was hardly any load");
        let mut violations = check(&history);
        violations.extend(backwards);
        violations.append(&mut notes.faults);
        let (is_verified, findings) = place.verify().await?;
        println!("  {}", findings.trim());
        if !is_verified {
            violations.push(format!("finitech ledger verify: {findings}"));
        }
        let unanswered = fleet.unanswered();
        Ok(Self { history, notes, unanswered, seconds, is_verified, violations })
    }

    /// The books are sound in themselves, and the check names just those records that were acknowledged and are
    /// gone. What else was seen of the books may well fit no more.
    fn names_what_is_lost(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.is_verified, "finitech ledger verify finds something");
        let is_there: HashSet<Uuid> = self.history.journal.iter().map(|line| line.id).collect();
        let acknowledged = self.history.operations.iter().flat_map(|one| match &one.outcome {
            Outcome::Recorded(_) => one.request.ids(),
            Outcome::Refused(_) => Vec::new(),
        });
        let lost: BTreeSet<Uuid> = acknowledged.filter(|id| !is_there.contains(id)).collect();
        let named = self.violations.iter().filter_map(|one| {
            let (id, _) = one.strip_prefix(LOST)?.strip_prefix(": ")?.split_once(' ')?;
            id.parse().ok()
        });
        let named: BTreeSet<Uuid> = named.collect();
        println!("  acknowledged and gone: {}, named by the check: {}", lost.len(), named.len());
        anyhow::ensure!(!lost.is_empty(), "nothing was lost");
        anyhow::ensure!(named == lost, "the check names {named:?}, and gone are {lost:?}");
        Ok(())
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
        let refused: usize = refusals.values().sum();
        println!(
            "  in {} s {} operations ({recorded} acknowledged, {refused} refused: {refusals:?})",
            self.seconds,
            operations.len()
        );
        let Unanswered { unavailable, broken, refused } = self.unanswered;
        let Notes { unknown, resumed, doubled, repeated, .. } = self.notes;
        println!(
            "  unknown for a while, then resolved: {unknown}, of which {resumed} had been recorded \
             (answers 503: {unavailable}, connections broken: {broken}, refused: {refused})"
        );
        println!(
            "  asked for by two at once and recorded once: {doubled}, asked for again and answered \
             as before: {repeated}"
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
    notes.resumed = notes.resumed.saturating_add(more.resumed);
    notes.doubled = notes.doubled.saturating_add(more.doubled);
    notes.repeated = notes.repeated.saturating_add(more.repeated);
    notes.faults.extend(more.faults);
}
