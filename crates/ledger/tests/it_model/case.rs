//! One case: each step on both ledgers, and what must be the same.

use crate::commands::{ACCOUNTS, Answer, Case, Command, Step, account_id, seconds_from};
use crate::http;
use crate::real::{Process, Real, Seen, ask_at_once};
use crate::reference::Reference;
use kernel::PageLimit;
use ledger_api::{AccountId, Basis, Ledger as _};
use std::fmt::Debug;
use store::testing::TestDatabase;

/// `Err` tells what differs.
pub(crate) async fn run(
    database: &TestDatabase,
    name: &'static str,
    case: &Case,
) -> Result<(), String> {
    let mut real = Real::start(database, name, case).await;
    let mut reference = Reference::at(case.start);
    let mut asked: Vec<(usize, Command)> = Vec::new();
    let mut outcome = Ok(());
    for (number, step) in case.steps.iter().enumerate() {
        outcome = take(step, &mut real, &mut reference, &mut asked).await;
        if let Err(difference) = &outcome {
            outcome = Err(format!("step {number}, {step:?}: {difference}"));
            break;
        }
    }
    if outcome.is_ok() {
        outcome = look_at_all(real.process(1), &reference).await;
    }
    if outcome.is_ok() {
        let findings = real.verify().await.findings;
        outcome = same("findings of the verification", &findings, &Vec::new());
    }
    real.clear().await;
    outcome
}

async fn take(
    step: &Step,
    real: &mut Real<'_>,
    reference: &mut Reference,
    asked: &mut Vec<(usize, Command)>,
) -> Result<(), String> {
    match step {
        Step::Ask(process, command) => {
            asked.push((*process, command.clone()));
            ask(real.process(*process), reference, command).await
        }
        Step::Again(back) => {
            let Some(at) = asked.len().checked_sub(*back) else { return Ok(()) };
            let (process, command) = asked[at].clone();
            ask(real.process(process + 1), reference, &command).await
        }
        Step::Burst(process, commands) => {
            let to_one = commands.iter().map(|one| (real.process(*process).clone(), one.clone()));
            let seen = ask_at_once(to_one.collect()).await?;
            for (command, seen) in commands.iter().zip(seen) {
                asked.push((*process, command.clone()));
                let expected = Seen::of(command, reference.carry_out(command));
                same(&format!("answer to {command:?}"), &seen, &expected)?;
            }
            Ok(())
        }
        Step::Race(left, right) => {
            let to = |process, commands: &[Command]| -> Vec<(Process, Command)> {
                let process: &Process = real.process(process);
                commands.iter().map(|one| (process.clone(), one.clone())).collect()
            };
            let mut seen = ask_at_once([to(0, left), to(1, right)].concat()).await?;
            let right_seen = seen.split_off(left.len());
            let pair = |commands: &[Command], seen: &[Seen]| -> Vec<(Command, Seen)> {
                commands.iter().cloned().zip(seen.iter().cloned()).collect()
            };
            let (left, right) = (pair(left, &seen), pair(right, &right_seen));
            let mut explained = Vec::new();
            explain(reference, &left, &right, &mut explained);
            let shown = as_shown(real.process(1), explained).await;
            *reference = shown.ok_or_else(|| {
                format!("no order of the commands has these answers: {left:#?}\n{right:#?}")
            })?;
            Ok(())
        }
        Step::Clock(by) => {
            reference.now = by.apply(reference.now);
            real.clock.set(reference.now);
            Ok(())
        }
        Step::Expire => {
            let expected = reference.next_to_expire();
            if let Some(hold) = expected {
                let cause = ledger_api::ReleaseCause::Expired;
                let release =
                    Command::Release(ledger_api::HoldRelease { hold, cause, initiated_by: None });
                let answer = reference.carry_out(&release);
                assert!(matches!(answer, Answer::Held(_)), "{answer:?}");
            }
            let expired = real.process(0).ledger.expire_holds(1).await;
            let expired = expired.map_err(|error| format!("{error:?}"))?;
            same("expired holds", &expired, &u32::from(expected.is_some()))
        }
        Step::Restart => {
            real.restart().await;
            look_at_all(real.process(1), reference).await
        }
        Step::Look { account, offset_seconds, basis } => {
            let process = real.process(1);
            look_at(process, reference, account_id(*account)).await?;
            look_back(process, reference, account_id(*account), *offset_seconds, *basis).await
        }
    }
}

async fn ask(
    process: &Process,
    reference: &mut Reference,
    command: &Command,
) -> Result<(), String> {
    let seen = process.ask(command).await?;
    let expected = Seen::of(command, reference.carry_out(command));
    same("answer", &seen, &expected)
}

/// The reference after each order of the commands that explains all answers: each side's in its own order.
fn explain(
    reference: &Reference,
    left: &[(Command, Seen)],
    right: &[(Command, Seen)],
    explained: &mut Vec<Reference>,
) {
    if left.is_empty() && right.is_empty() {
        return explained.push(reference.clone());
    }
    let first_of = |side: &[(Command, Seen)]| -> Option<Reference> {
        let (command, seen) = side.first()?;
        let mut after = reference.clone();
        let expected = Seen::of(command, after.carry_out(command));
        (expected == *seen).then_some(after)
    };
    if let Some(after) = first_of(left) {
        explain(&after, &left[1..], right, explained);
    }
    if let Some(after) = first_of(right) {
        explain(&after, left, &right[1..], explained);
    }
}

/// Of several orders the one that the accounts are seen to be in: two changes of the same limits have the
/// same answers in either order.
async fn as_shown(process: &Process, mut explained: Vec<Reference>) -> Option<Reference> {
    if explained.len() > 1 {
        for at in 0..explained.len() {
            if looks_like(process, &explained[at]).await {
                return Some(explained.swap_remove(at));
            }
        }
    }
    explained.into_iter().next()
}

async fn looks_like(process: &Process, reference: &Reference) -> bool {
    for number in ACCOUNTS {
        if look_at(process, reference, account_id(number)).await.is_err() {
            return false;
        }
    }
    true
}

/// Everything, when there is time for it.
async fn look_at_all(process: &Process, reference: &Reference) -> Result<(), String> {
    for number in ACCOUNTS {
        let account = account_id(number);
        look_at(process, reference, account).await?;
        let limit = PageLimit::new(PageLimit::MAX).unwrap();
        let entries = process.ledger.entries(account, None, limit).await;
        same(
            &format!("entries of {account}"),
            &entries.unwrap().items,
            &reference.entries(account),
        )?;
        for basis in [Basis::Effective, Basis::Recorded] {
            for offset_seconds in [-100_000, 0] {
                look_back(process, reference, account, offset_seconds, basis).await?;
            }
        }
    }
    for expected in reference.transactions() {
        let found = process.ledger.transaction(expected.id).await.unwrap();
        same("transaction", &found.as_ref(), &Some(expected))?;
    }
    for expected in reference.holds() {
        let found = process.ledger.hold_by_id(expected.id).await.unwrap();
        same("hold", &found.as_ref(), &Some(expected))?;
    }
    Ok(())
}

/// An account as it is now.
async fn look_at(
    process: &Process,
    reference: &Reference,
    account: AccountId,
) -> Result<(), String> {
    let found = process.ledger.account(account).await.unwrap();
    same("account", &found, &reference.account(account))?;
    let limits = process.ledger.limits(account).await.unwrap();
    same(&format!("limits of {account}"), &limits, &reference.limits(account))
}

/// An account as of an instant, and its statement from then on for a day and a half.
async fn look_back(
    process: &Process,
    reference: &Reference,
    account: AccountId,
    offset_seconds: i64,
    basis: Basis,
) -> Result<(), String> {
    let instant = seconds_from(reference.now, offset_seconds);
    for at in [None, Some(instant)] {
        let balance = process.ledger.balance_as_of(account, at, basis).await.unwrap();
        let expected = reference.balance_as_of(account, at, basis);
        same(&format!("balance of {account} at {at:?}"), &balance, &expected)?;
    }
    let period = instant..seconds_from(instant, 130_000);
    let statement = http::statement(&process.router, account.0, &period, basis).await;
    let expected = reference.statement(account, &period, basis);
    same(&format!("statement of {account} for {period:?} {basis:?}"), &statement, &expected)
}

fn same<T: Debug + PartialEq>(what: &str, real: &T, expected: &T) -> Result<(), String> {
    if real == expected {
        return Ok(());
    }
    Err(format!("{what}\n  the ledger says    {real:?}\n  the reference says {expected:?}"))
}
