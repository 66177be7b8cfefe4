//! Any schedule of faults, deaths, retries, sweeps and clocks: at the end every operation is completed or
//! rejected as the ledger has it, each answer was the same each time, and no money came or went.

use crate::faults::{ChargeFault, Fault};
use crate::world::{Answer, Person, Process, World, count, mad, to};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use store::testing::TestDatabase;
use tokio::task::JoinHandle;

store::on_every_store! { every_schedule_of_faults_ends_well }

const PEOPLE: usize = 4;

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
    wishes: Vec<Wish>,
    steps: Vec<Step>,
}

fn fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![
        5 => Just(None),
        1 => Just(Some(Fault::DieBefore)),
        1 => Just(Some(Fault::DieAfter)),
        2 => Just(Some(Fault::DieOnTheWay)),
        1 => Just(Some(Fault::UnavailableBefore)),
        1 => Just(Some(Fault::UnavailableAfter)),
        2 => Just(Some(Fault::UnavailableOnTheWay)),
        1 => Just(Some(Fault::Overloaded)),
        1 => Just(Some(Fault::StuckBefore)),
        1 => Just(Some(Fault::StuckAfter)),
    ]
}

fn charge_fault() -> impl Strategy<Value = Option<ChargeFault>> {
    prop_oneof![
        4 => Just(None),
        1 => Just(Some(ChargeFault::UnavailableBefore)),
        1 => Just(Some(ChargeFault::UnavailableAfter)),
    ]
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let transfer = (0..PEOPLE, 1..PEOPLE, 1_i64..900);
    let wish = prop_oneof![
        1 => (0..PEOPLE, 1_i64..500).prop_map(|(to, amount)| Wish::TopUp { to, amount }),
        4 => transfer.prop_map(|(from, step, amount)| {
            Wish::Transfer { from, to: from.wrapping_add(step) % PEOPLE, amount }
        }),
    ];
    let step = prop_oneof![
        8 => (0..8_usize, 0..2_usize, fault(), charge_fault()).prop_map(
            |(wish, process, fault, charge_fault)| Step::Ask { wish, process, fault, charge_fault }
        ),
        2 => (0..2_usize, fault(), charge_fault()).prop_map(
            |(process, fault, charge_fault)| Step::Sweep { process, fault, charge_fault }
        ),
        1 => Just(Step::SweepAtOnce),
        3 => (1_u64..20).prop_map(|seconds| Step::Wait { seconds }),
        2 => Just(Step::Deliver),
    ];
    let wishes = proptest::collection::vec(wish, 8);
    (wishes, proptest::collection::vec(step, 10..30))
        .prop_map(|(wishes, steps)| Schedule { wishes, steps })
}

async fn every_schedule_of_faults_ends_well(database: TestDatabase) {
    let world = World::new(&database).await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(world.person(number, &["MAD"]).await);
        world.fund(&people[number], 1_000).await;
    }
    let processes = [(); 2].map(|()| world.another_process(&database));
    let [first, second] = processes;
    let stage = Stage { world, people, processes: [first.await.into(), second.await.into()] };
    let cases = std::option_env!("FINITECH_TEST_SCHEDULES").and_then(|text| text.parse().ok());
    let config = Config { cases: cases.unwrap_or(16), failure_persistence: None, ..Config::default() };
    tokio::task::block_in_place(|| {
        let runtime = tokio::runtime::Handle::current();
        let mut case = 0_u32;
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let cell = std::cell::RefCell::new(&mut case);
        TestRunner::new_with_rng(config, rng)
            .run(&schedule(), |schedule| {
                let number = {
                    let mut case = cell.borrow_mut();
                    **case = case.wrapping_add(1);
                    **case
                };
                runtime.block_on(Run::new(&stage, number, &schedule).play()).map_err(TestCaseError::fail)
            })
            .unwrap();
    });
}

struct Stage {
    world: World,
    people: Vec<Person>,
    processes: [Arc<Process>; 2],
}

/// One schedule being played.
struct Run<'a> {
    stage: &'a Stage,
    number: u32,
    schedule: &'a Schedule,
    asked: BTreeSet<usize>,
    /// The final answer to each wish, once one was given.
    answers: BTreeMap<usize, (u16, Value)>,
    stuck: Vec<(usize, JoinHandle<Answer>)>,
}

impl<'a> Run<'a> {
    fn new(stage: &'a Stage, number: u32, schedule: &'a Schedule) -> Self {
        let (asked, answers, stuck) = Default::default();
        Self { stage, number, schedule, asked, answers, stuck }
    }

    async fn play(mut self) -> Result<(), String> {
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
        let key = format!("{} {wish}", self.number);
        let process = self.stage.processes[process].clone();
        let wish = self.schedule.wishes[wish];
        let people = self.stage.people.clone();
        async move {
            match wish {
                Wish::TopUp { to, amount } => {
                    process.top_up(&people[to], &key, &mad(amount)).await
                }
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
        world.assert_settled().await;
        let mut money = 0_i64;
        for person in &self.stage.people {
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
        let people = i64::try_from(PEOPLE).unwrap();
        if events != completed.saturating_add(people) {
            return Err(format!("{events} events, {completed} transactions"));
        }
        Ok(())
    }
}
