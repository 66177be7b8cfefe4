//! The ledger against a reference ledger that is too simple to be wrong: random commands must have the
//! same answers, and leave the same balances, holds and limits, on every store.
//!
//! `FINITECH_MODEL_CASES` says how many cases are tried on each store. A case that fails is made smaller,
//! and printed with the `FINITECH_MODEL_SEED` that makes it again.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that fails says where, and overflow fails it"
)]

mod case;
mod commands;
mod http;
mod real;
mod reference;

use kernel::Clock;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::borrow::Borrow;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use store::testing::TestDatabase;
use tokio::runtime::Runtime;

/// Short enough for every run of the tests.
const CASES: u64 = 15;

/// How many cases are tried to make one that fails smaller.
const SMALLER_MAX: u32 = 2_000;

#[test]
fn on_sqlite_it_does_what_the_reference_does() {
    try_cases(&runtime(), TestDatabase::sqlite);
}

#[test]
fn on_postgres_it_does_what_the_reference_does() {
    let runtime = runtime();
    match runtime.block_on(real::postgres()) {
        Some(database) => try_cases(&runtime, || &database),
        None => eprintln!("skipped: FINITECH_TEST_POSTGRES_URL is not set"),
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn try_cases<D: Borrow<TestDatabase>>(runtime: &Runtime, database: impl Fn() -> D) {
    let cases = setting("FINITECH_MODEL_CASES").unwrap_or(CASES);
    let now = ports::SystemClock.now().as_micros().unsigned_abs();
    let first = setting("FINITECH_MODEL_SEED").unwrap_or(now);
    let tried = AtomicU64::new(0);
    for seed in first..first + cases {
        let config = Config {
            failure_persistence: None,
            max_shrink_iters: SMALLER_MAX,
            ..Config::default()
        };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let tree = commands::any_case().new_tree(&mut runner).unwrap();
        let outcome = runner.run_one(tree, |case| {
            let number = tried.fetch_add(1, Ordering::Relaxed);
            let database = database();
            // Databases know the names of their schemas for as long as the program runs.
            let name = format!("ledger_{number}").leak();
            let tried = runtime.block_on(case::run(database.borrow(), name, &case));
            tried.map_err(TestCaseError::fail)
        });
        if let Err(error) = outcome {
            panic!("FINITECH_MODEL_SEED={seed} FINITECH_MODEL_CASES=1: {}", describe(&error));
        }
    }
}

fn describe(error: &TestError<commands::Case>) -> String {
    match error {
        TestError::Abort(reason) => reason.to_string(),
        TestError::Fail(reason, commands::Case { start, group_max, steps }) => {
            let mut text =
                format!("{reason}\nfrom {start} on, in groups of up to {group_max}, after\n");
            for (number, step) in steps.iter().enumerate() {
                writeln!(text, "{number}: {step:?}").unwrap();
            }
            text
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}
