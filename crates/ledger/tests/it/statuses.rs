//! Freezing, unfreezing and closing accounts, for ever.

use crate::world::*;
use kernel::{Currency, Money};
use ledger_api::AccountStatus::{Closed, Frozen, Open};
use ledger_api::{AccountStatus, Ledger as _, LedgerError, Refusal};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_change_is_kept_with_its_reason,
    every_status_reads_back_after_a_restart,
    nothing_leads_out_of_closed,
    an_account_with_money_is_not_closed,
    nothing_is_posted_after_a_freeze_was_answered,
    an_account_is_opened_and_changed_in_one_group,
    the_same_change_at_once_is_one_record,
    a_refused_change_leaves_nothing,
}

async fn status(world: &World, number: u128) -> AccountStatus {
    world.ledger.account(account_id(number)).await.unwrap().unwrap().status
}

/// How many changes of an account were recorded with exactly this.
async fn recorded(world: &World, word: &str, reason: &str, at: kernel::Timestamp) -> i64 {
    let sql = format!(
        "select count(*) from account_changes c join accounts a on a.sequence = c.account_sequence \
         where a.name = 'Customer 2' and c.status = '{word}' and c.reason = '{reason}' \
         and c.changed_at = {}",
        at.as_micros()
    );
    world.number(&sql).await
}

async fn a_change_is_kept_with_its_reason(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 100).await;
    world.clock.advance(Duration::from_secs(3));
    let reason = "carte volée – بطاقة \u{1F4B3}";
    let frozen = world.ledger.change_status(change(2, Frozen, reason)).await.unwrap();
    assert!(!frozen.replayed);
    assert_eq!((frozen.record.status, frozen.record.posted()), (Frozen, 100));
    let at = noon().plus(Duration::from_secs(3));
    assert_eq!(recorded(&world, "frozen", reason, at).await, 1);
    // Again, for another reason: nothing happens, and the first one stands.
    let again = world.ledger.change_status(change(2, Frozen, "other")).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.record, frozen.record);
    assert_eq!(world.number("select count(*) from account_changes").await, 1);
    let read = world.ledger.account(account_id(2)).await.unwrap().unwrap();
    assert_eq!(read, frozen.record);
    // It has its place in the journal.
    assert_eq!(world.number("select sequence from account_changes").await, 4);
    assert_eq!(world.number("select last_sequence from journal_head").await, 4);
    world.verify_clean().await;
}

async fn every_status_reads_back_after_a_restart(database: TestDatabase) {
    let mut world = World::new(&database).await.with_customers(3, 0).await;
    for to in [Frozen, Open, Frozen, Closed] {
        let changed = world.ledger.change_status(change(2, to, "x")).await.unwrap();
        assert!(!changed.replayed);
        world = world.restarted(&database).await;
        assert_eq!(status(&world, 2).await, to);
        let again = world.ledger.change_status(change(2, to, "x")).await.unwrap();
        assert!(again.replayed);
        let posted = world.ledger.post(transfer(7, 1, 2, 1)).await;
        if to == Open {
            posted.unwrap();
            world.ledger.post(transfer(8, 2, 1, 1)).await.unwrap();
        } else if to == Frozen && world.rows().await[3] == 0 {
            let (leg, account) = (1, account_id(2));
            assert_eq!(refusal(posted), Refusal::AccountNotOpen { leg, account, status: to });
        } else {
            assert!(posted.unwrap().replayed);
        }
        // Opening it again answers with the account as it is.
        assert_eq!(world.ledger.open_account(customer(2)).await.unwrap().record.status, to);
    }
    assert_eq!(status(&world, 3).await, Open);
    world.verify_clean().await;
}

async fn nothing_leads_out_of_closed(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    world.ledger.post(transfer(7, 2, 3, 100)).await.unwrap();
    world.ledger.change_status(change(2, Closed, "moved")).await.unwrap();
    let world = world.restarted(&database).await;
    for to in [Open, Frozen] {
        let refused = refusal(world.ledger.change_status(change(2, to, "x")).await);
        assert_eq!(refused, Refusal::StatusNotReachable { from: Closed, to });
    }
    let closed = Refusal::AccountNotOpen { leg: 1, account: account_id(2), status: Closed };
    assert_eq!(refusal(world.ledger.post(transfer(8, 1, 2, 1)).await), closed);
    let first = Refusal::AccountNotOpen { leg: 0, account: account_id(2), status: Closed };
    assert_eq!(refusal(world.ledger.reverse(reversal(8, 7, None)).await), first);
    // Its history stays.
    assert!(world.ledger.post(transfer(7, 2, 3, 100)).await.unwrap().replayed);
    assert_eq!(world.balance(2).await, 0);
    world.verify_clean().await;
}

async fn an_account_with_money_is_not_closed(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let not_empty =
        |minor_units| Refusal::AccountNotEmpty { balance: Money::new(minor_units, Currency::MAD) };
    let close = |number| world.ledger.change_status(change(number, Closed, "x"));
    assert_eq!(refusal(close(2).await), not_empty(100));
    // Ours owes two customers a hundred each: that is no empty account either.
    assert_eq!(refusal(close(1).await), not_empty(200));
    world
        .tamper("update account_states set pending_debits = 1 where account_sequence = 2")
        .await
        .unwrap();
    assert_eq!(refusal(close(2).await), not_empty(100));
    world
        .tamper("update account_states set pending_debits = 0 where account_sequence = 2")
        .await
        .unwrap();
    world.ledger.post(transfer(7, 2, 3, 100)).await.unwrap();
    close(2).await.unwrap();
    assert_eq!(status(&world, 2).await, Closed);
    world.verify_clean().await;
}

/// While many post to it, an account is frozen and unfrozen again and again: what is posted stands
/// in the journal where it was open.
async fn nothing_is_posted_after_a_freeze_was_answered(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let tasks: Vec<_> = (0..6_u128)
        .map(|task| {
            let ledger = world.ledger.clone();
            tokio::spawn(async move {
                let mut posted = Vec::new();
                for number in 0..40 {
                    match ledger.post(transfer(task * 100 + number, 1, 2, 1)).await {
                        Ok(one) => posted.push(one.record.sequence),
                        Err(LedgerError::Refused(Refusal::AccountNotOpen { .. })) => (),
                        Err(other) => panic!("{other:?}"),
                    }
                }
                posted
            })
        })
        .collect();
    for _ in 0..10 {
        world.ledger.change_status(change(2, Frozen, "x")).await.unwrap();
        let before = world.balance(2).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(world.balance(2).await, before, "it is frozen");
        world.ledger.change_status(change(2, Open, "x")).await.unwrap();
    }
    let mut posted: Vec<i64> = Vec::new();
    for task in tasks {
        posted.extend(task.await.unwrap());
    }
    assert_eq!(world.balance(2).await, i64::try_from(posted.len()).unwrap());
    // The last change before each posting made it open, if there was one.
    let misplaced = "select count(*) from transactions t where (select c.status \
                     from account_changes c where c.sequence < t.sequence \
                     order by c.sequence desc limit 1) = 'frozen'";
    assert_eq!(world.number(misplaced).await, 0);
    world.verify_clean().await;
}

async fn an_account_is_opened_and_changed_in_one_group(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let held = world.hold_the_journal().await;
    let first = queue(&world.ledger, transfer(1, 1, 2, 1)).await.ok().unwrap();
    let ledger = world.ledger.clone();
    let opening = queued(async move { ledger.open_account(customer(50)).await }).await;
    let mut changing = Vec::new();
    for to in [Frozen, Open, Closed] {
        let ledger = world.ledger.clone();
        let change = change(50, to, "x");
        changing.push(queued(async move { ledger.change_status(change).await }).await);
    }
    drop(held);
    first.await.unwrap();
    opening.await.unwrap();
    for one in changing {
        assert!(!one.await.unwrap().replayed);
    }
    assert_eq!(status(&world, 50).await, Closed);
    assert_eq!(world.rows().await, [7, 3, 3, 1, 2, 0, 0, 0]);
    world.verify_clean().await;
}

async fn the_same_change_at_once_is_one_record(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let tasks: Vec<_> = (0..12)
        .map(|_| {
            let ledger = world.ledger.clone();
            tokio::spawn(async move { ledger.change_status(change(2, Frozen, "x")).await.unwrap() })
        })
        .collect();
    let mut fresh = 0;
    for task in tasks {
        fresh += i32::from(!task.await.unwrap().replayed);
    }
    assert_eq!(fresh, 1);
    assert_eq!(world.number("select count(*) from account_changes").await, 1);
}

async fn a_refused_change_leaves_nothing(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 100).await;
    let before = world.rows().await;
    let unknown = refusal(world.ledger.change_status(change(9, Frozen, "x")).await);
    assert_eq!(unknown, Refusal::AccountUnknown { account: account_id(9) });
    for reason in ["", "a\0b", &"é".repeat(501)] {
        let refused = refusal(world.ledger.change_status(change(2, Frozen, reason)).await);
        assert_eq!(refused, Refusal::TextInvalid { field: "reason", min: 1, max: 500 });
    }
    refusal(world.ledger.change_status(change(2, Closed, "x")).await);
    assert_eq!(world.rows().await, before);
    world.ledger.change_status(change(2, Frozen, &"é".repeat(500))).await.unwrap();
    world.verify_clean().await;
}
