//! Any schedule of faults, deaths, retries, sweeps and clocks: at the end every operation is completed or
//! rejected as the ledger has it, each answer was the same each time, and no money came or went.

use crate::faults::{ChargeFault, Fault};
use crate::world::{Answer, Person, Process, World, count, mad, to};
use kernel::IdSource;
use ports::SystemIds;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use store::testing::TestDatabase;
use tokio::task::JoinHandle;
use uuid::Uuid;

store::on_every_store! { every_schedule_of_faults_ends_well }

/// What each person has at the beginning of a schedule.
const FUNDS: i64 = 300;
const SCHEDULES: u32 = 24;

/// What is asked under a key.
#[derive(Clone, Copy, Debug)]
enum Wish {
    TopUp { to: usize, amount: i64 },
    Transfer { from: usize, to: usize, amount: i64 },
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask { wish: usize, process: usize, fault: Option<Fault>, charge_fault: Option<ChargeFault> },
    Sweep { process: usize, fault: Option<Fault>, charge_fault: Option<ChargeFault> },
    SweepAtOnce,
    Wait { seconds: u64 },
    Deliver,
}

#[derive(Clone, Debug)]
struct Schedule {
    wishes: [Wish; 3],
    steps: Vec<Step>,
}

fn fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![
        4 => Just(None),
        1 => Just(Some(Fault::DieBefore)),
        1 => Just(Some(Fault::DieAfter)),
        3 => Just(Some(Fault::DieOnTheWay)),
        1 => Just(Some(Fault::UnavailableBefore)),
        1 => Just(Some(Fault::UnavailableAfter)),
        4 => Just(Some(Fault::UnavailableOnTheWay)),
        1 => Just(Some(Fault::Overloaded)),
        4 => Just(Some(Fault::StuckBefore)),
        4 => Just(Some(Fault::StuckAfter)),
    ]
}

fn charge_fault() -> impl Strategy<Value = Option<ChargeFault>> {
    prop_oneof![
        4 => Just(None),
        1 => Just(Some(ChargeFault::UnavailableBefore)),
        1 => Just(Some(ChargeFault::UnavailableAfter)),
    ]
}

/// Two people: the first wants to send more than there is, and somebody may bring more in meanwhile.
fn wishes() -> impl Strategy<Value = [Wish; 3]> {
    (301_i64..600, 301_i64..600, 1_i64..400).prop_map(|(sent, topped_up, sent_back)| {
        [
            Wish::Transfer { from: 0, to: 1, amount: sent },
            Wish::TopUp { to: 0, amount: topped_up },
            Wish::Transfer { from: 1, to: 0, amount: sent_back },
        ]
    })
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let wish = prop_oneof![3 => Just(0_usize), 1 => Just(1), 1 => Just(2)];
    let step = prop_oneof![
        10 => (wish, 0..2_usize, fault(), charge_fault()).prop_map(
            |(wish, process, fault, charge_fault)| Step::Ask { wish, process, fault, charge_fault }
        ),
        2 => (0..2_usize, fault(), charge_fault()).prop_map(
            |(process, fault, charge_fault)| Step::Sweep { process, fault, charge_fault }
        ),
        1 => Just(Step::SweepAtOnce),
        3 => prop_oneof![Just(3_u64), Just(16)].prop_map(|seconds| Step::Wait { seconds }),
        2 => Just(Step::Deliver),
    ];
    (wishes(), proptest::collection::vec(step, 4..16))
        .prop_map(|(wishes, steps)| Schedule { wishes, steps })
}

async fn every_schedule_of_faults_ends_well(database: TestDatabase) {
    let world = World::new(&database).await;
    let people = vec![world.person(0, &["MAD"]).await, world.person(1, &["MAD"]).await];
    let bank = world.person(2, &["MAD"]).await;
    world.fund(&bank, 1_000_000).await;
    let first = Arc::new(world.another_process(&database).await);
    let second = Arc::new(world.another_process(&database).await);
    let stage = Stage { world, people, bank, processes: [first, second] };
    // Not made smaller when it fails: the schedules share one bank, which is broken then.
    let config = Config {
        cases: SCHEDULES,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let played = TestRunner::new_with_rng(config, rng).run(&schedule(), |schedule| {
            let run = Run::new(&stage, &schedule);
            runtime.block_on(run.play()).map_err(TestCaseError::fail)
        });
        played.unwrap();
    });
    stage.world.assert_settled().await;
}

struct Stage {
    world: World,
    people: Vec<Person>,
    bank: Person,
    processes: [Arc<Process>; 2],
}

impl Stage {
    /// Gives each person the same to begin with.
    async fn even_out(&self) {
        for person in &self.people {
            let more = FUNDS - self.world.balance(person).await;
            let (from, recipient) = match more > 0 {
                true => (&self.bank, person),
                false => (person, &self.bank),
            };
            if more != 0 {
                let body = to(recipient, more.abs());
                let answer = self.world.process.transfer(from, &self.world.key(), &body).await;
                assert_eq!(answer.status, 201);
            }
        }
    }
}

/// One schedule being played.
struct Run<'a> {
    stage: &'a Stage,
    /// What its keys begin with.
    name: String,
    /// Its operations have larger ids.
    begun_after: Uuid,
    schedule: &'a Schedule,
    asked: BTreeSet<usize>,
    /// The final answer to each wish, once one was given.
    answers: BTreeMap<usize, (u16, Value)>,
    stuck: Vec<(usize, JoinHandle<Answer>)>,
}

impl<'a> Run<'a> {
    fn new(stage: &'a Stage, schedule: &'a Schedule) -> Self {
        let (asked, answers, stuck) = Default::default();
        let (name, begun_after) = (stage.world.key(), SystemIds.next());
        Self { stage, name, begun_after, schedule, asked, answers, stuck }
    }

    async fn play(mut self) -> Result<(), String> {
        self.stage.even_out().await;
        for &step in &self.schedule.steps {
            self.take(step).await?;
            for process in &self.stage.processes {
                process.ledger.fail([]);
            }
            self.stage.world.gateway.fail([]);
        }
        self.deliver().await?;
        self.stage.world.let_leases_end();
        self.sweep_at_once().await;
        for wish in self.asked.clone() {
            let answer = self.ask(wish, 0).await;
            self.note(wish, &answer)?;
            if !self.answers.contains_key(&wish) {
                return Err(format!("wish {wish} ends with {answer:?}"));
            }
        }
        self.deliver().await?;
        self.check_books().await
    }

    async fn take(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Wait { seconds } => self.stage.world.clock.advance(Duration::from_secs(seconds)),
            Step::Deliver => self.deliver().await?,
            Step::SweepAtOnce => self.sweep_at_once().await,
            Step::Sweep { process, fault, charge_fault } => {
                // A sweeper waits for nobody here.
                let stuck = matches!(fault, Some(Fault::StuckBefore | Fault::StuckAfter));
                let process = &self.stage.processes[process];
                process.ledger.fail(fault.filter(|_| !stuck));
                self.stage.world.gateway.fail(charge_fault);
                process.ledger.until_death(process.sweep()).await;
            }
            Step::Ask { wish, process, fault, charge_fault } => {
                self.asked.insert(wish);
                let ledger = &self.stage.processes[process].ledger;
                ledger.fail(fault);
                self.stage.world.gateway.fail(charge_fault);
                let mut request = tokio::spawn(self.ask(wish, process));
                let answer = tokio::select! {
                    biased;
                    () = ledger.stuck.notified() => {
                        self.stuck.push((wish, request));
                        return Ok(());
                    }
                    answer = ledger.until_death(&mut request) => answer,
                };
                match answer {
                    Some(answer) => self.note(wish, &answer.unwrap())?,
                    None => request.abort(),
                }
            }
        }
        Ok(())
    }

    fn ask(&self, wish: usize, process: usize) -> impl Future<Output = Answer> + Send + use<> {
        let key = format!("{} {wish}", self.name);
        let process = self.stage.processes[process].clone();
        let wish = self.schedule.wishes[wish];
        let people = self.stage.people.clone();
        async move {
            match wish {
                Wish::TopUp { to, amount } => process.top_up(&people[to], &key, &mad(amount)).await,
                Wish::Transfer { from, to: recipient, amount } => {
                    let body = to(&people[recipient], amount);
                    process.transfer(&people[from], &key, &body).await
                }
            }
        }
    }

    /// An answer is final or says to ask again; final ones are the same each time.
    fn note(&mut self, wish: usize, answer: &Answer) -> Result<(), String> {
        match answer.status {
            409 | 503 => return Ok(()),
            201 => {}
            422 if answer.body["code"] == "insufficient_funds" => {}
            _ => return Err(format!("{answer:?}")),
        }
        let given = (answer.status, answer.body.clone());
        let first = self.answers.entry(wish).or_insert_with(|| given.clone());
        if *first != given {
            return Err(format!("wish {wish}: first {first:?}, then {given:?}"));
        }
        Ok(())
    }

    async fn deliver(&mut self) -> Result<(), String> {
        for process in &self.stage.processes {
            process.ledger.deliver().await;
        }
        for (wish, request) in std::mem::take(&mut self.stuck) {
            let answer = request.await.unwrap();
            self.note(wish, &answer)?;
        }
        Ok(())
    }

    async fn sweep_at_once(&self) {
        let [first, second] = &self.stage.processes;
        tokio::join!(first.sweep(), second.sweep());
    }

    async fn check_books(&self) -> Result<(), String> {
        let world = &self.stage.world;
        world.assert_settled_after(self.begun_after).await;
        let mut money = 0_i64;
        for person in self.stage.people.iter().chain([&self.stage.bank]) {
            let balance = world.balance(person).await;
            if balance < 0 {
                return Err(format!("a balance of {balance}"));
            }
            money = money.saturating_add(balance);
        }
        let charged = world.gateway.charged().0;
        if money != charged {
            return Err(format!("{charged} was charged and {money} is there"));
        }
        // One event per wallet and per completed operation.
        let completed = count(&world.ledger_store, "transactions").await;
        let events = count(&world.process.store, "outbox").await;
        let wallets = count(&world.process.store, "wallets").await;
        if events != completed + wallets {
            return Err(format!("{events} events, {completed} transactions"));
        }
        Ok(())
    }
}
