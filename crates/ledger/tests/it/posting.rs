//! What is opened and posted can be read back, exactly, for ever.

use crate::world::*;
use kernel::{Currency, PageLimit, Timestamp};
use ledger::EngineConfig;
use ledger_api::{
    AccountStatus, Balances, Constraint, Entry, EntryKey, Ledger as _, NewAccount, NewTransaction,
    Refusal, Side,
};
use std::collections::BTreeMap;
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    an_account_reads_back_as_it_was_opened,
    opening_again_answers_with_the_account_as_it_is,
    a_credit_limit_of_zero_is_no_limit_below_zero,
    a_transaction_reads_back_as_it_was_posted,
    posting_again_moves_nothing_and_answers_the_same,
    an_id_means_one_transaction,
    several_currencies_balance_each_on_its_own,
    a_refused_transaction_leaves_no_trace,
    a_deadline_is_kept,
    the_largest_transaction_fits,
    entries_come_newest_first_in_pages,
    a_new_ledger_on_the_same_store_goes_on,
    recorded_times_never_run_backwards,
    many_accounts_are_read_at_once_each_one_time,
}

async fn an_account_reads_back_as_it_was_opened(database: TestDatabase) {
    let world = World::new(&database).await;
    let constraints = [Constraint::NonNegative, Constraint::CreditLimit(5), Constraint::Unlimited];
    let sides = [Side::Debit, Side::Credit, Side::Debit];
    let currencies = [Currency::MAD, Currency::JPY, Currency::TND];
    for number in 0..3 {
        let new = NewAccount {
            id: account_id(number as u128),
            name: "Épargne – حساب – 口座 \u{1F4B0}'; drop table accounts; --".into(),
            currency: currencies[number],
            normal_side: sides[number],
            constraint: constraints[number],
        };
        let opened = world.ledger.open_account(new.clone()).await.unwrap();
        assert!(!opened.replayed);
        let account = world.ledger.account(new.id).await.unwrap().unwrap();
        assert_eq!(account, opened.record);
        assert_eq!(account.name, new.name);
        assert_eq!(account.currency, new.currency);
        assert_eq!(account.normal_side, new.normal_side);
        assert_eq!(account.constraint, new.constraint);
        assert_eq!(account.status, AccountStatus::Open);
        assert_eq!(account.opened_at, noon());
        assert_eq!(account.balances, Balances::default());
    }
    assert_eq!(world.ledger.account(account_id(99)).await.unwrap(), None);
}

async fn opening_again_answers_with_the_account_as_it_is(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 700).await;
    world.clock.advance(Duration::from_secs(9));
    let again = world.ledger.open_account(customer(2)).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.record.posted(), 700);
    assert_eq!(again.record.opened_at, noon());
    let changes: [fn(&mut NewAccount); 4] = [
        |new| new.name = "Other".into(),
        |new| new.currency = Currency::EUR,
        |new| new.normal_side = Side::Debit,
        |new| new.constraint = Constraint::CreditLimit(1),
    ];
    for change in changes {
        let mut other = customer(2);
        change(&mut other);
        assert_eq!(refusal(world.ledger.open_account(other).await), Refusal::IdReused);
    }
    assert_eq!(world.verify_clean().await.accounts, 2);
}

async fn a_credit_limit_of_zero_is_no_limit_below_zero(database: TestDatabase) {
    let world = World::new(&database).await;
    let new = NewAccount { constraint: Constraint::CreditLimit(0), ..customer(1) };
    let opened = world.ledger.open_account(new.clone()).await.unwrap();
    assert_eq!(opened.record.constraint, Constraint::NonNegative);
    let again = world.ledger.open_account(new).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.record, opened.record);
}

async fn a_transaction_reads_back_as_it_was_posted(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 0).await;
    let effective_at: Timestamp = "1999-12-31T23:59:59.999999Z".parse().unwrap();
    let new = NewTransaction {
        kind: "loyer.été".into(),
        description: Some("Loyer – إيجار – 家賃 \u{1F3E0}\n\"quoted\" \\ 'quoted'".into()),
        reference: Some("FACT-2026/11".into()),
        effective_at: Some(effective_at),
        metadata: BTreeMap::from([
            ("clé".into(), "valeur \u{1F600} \"\\\u{0}".into()),
            ("empty".into(), String::new()),
        ]),
        legs: vec![
            credit(3, 60, Currency::MAD),
            debit(1, 100, Currency::MAD),
            credit(2, 40, Currency::MAD),
        ],
        not_after: Some(noon()),
        ..transfer(7, 1, 2, 1)
    };
    let posted = world.ledger.post(new.clone()).await.unwrap();
    assert!(!posted.replayed);
    let read = world.ledger.transaction(new.id).await.unwrap().unwrap();
    assert_eq!(read, posted.record);
    assert!(read.has_content_of(&new));
    // Three accounts were opened before.
    assert_eq!(read.sequence, 4);
    assert_eq!(read.effective_at, effective_at);
    assert_eq!(read.recorded_at, noon());
    assert_eq!(world.ledger.transaction(transaction_id(8)).await.unwrap(), None);

    let page = world.ledger.entries(account_id(3), None, PageLimit::default()).await.unwrap();
    let entry = Entry {
        key: EntryKey::new(4, 0),
        transaction_id: new.id,
        direction: Side::Credit,
        amount: new.legs[0].amount,
        balance_after: 60,
        kind: new.kind,
        description: new.description,
        reference: new.reference,
        effective_at,
        recorded_at: noon(),
    };
    assert_eq!(page.items, [entry]);
    assert_eq!(page.next, None);
}

async fn posting_again_moves_nothing_and_answers_the_same(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let first = world.ledger.post(transfer(7, 2, 3, 100)).await.unwrap();
    world.clock.advance(Duration::from_secs(3_600));
    // Neither a deadline that is over nor an account that is empty now stands against the first answer.
    let late = NewTransaction { not_after: Some(noon()), ..transfer(7, 2, 3, 100) };
    let again = world.ledger.post(late).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.record, first.record);
    assert_eq!((world.balance(2).await, world.balance(3).await), (0, 200));
    world.verify_clean().await;
}

async fn an_id_means_one_transaction(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    world.ledger.post(transfer(7, 2, 3, 10)).await.unwrap();
    let other = world.ledger.post(transfer(7, 2, 3, 11)).await;
    assert_eq!(refusal(other), Refusal::IdReused);
    // Accounts and transactions have their ids apart.
    world.ledger.post(transfer(2, 2, 3, 10)).await.unwrap();
    assert_eq!(world.balance(2).await, 80);
}

async fn several_currencies_balance_each_on_its_own(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 1_000).await;
    world.open(NewAccount { currency: Currency::EUR, ..settlement(11) }).await;
    world.open(NewAccount { currency: Currency::EUR, ..customer(12) }).await;
    let exchange = |euros| {
        vec![
            debit(2, 1_000, Currency::MAD),
            credit(1, 1_000, Currency::MAD),
            debit(11, 92, Currency::EUR),
            credit(12, euros, Currency::EUR),
        ]
    };
    let refused = refusal(world.ledger.post(with_legs(1, exchange(93))).await);
    let expected =
        Refusal::Unbalanced { currency: Currency::EUR, debits: 92.into(), credits: 93.into() };
    assert_eq!(refused, expected);
    world.ledger.post(with_legs(1, exchange(92))).await.unwrap();
    assert_eq!((world.balance(2).await, world.balance(12).await), (0, 92));
    world.verify_clean().await;
}

async fn a_refused_transaction_leaves_no_trace(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let before = world.number("select last_sequence from journal_head").await;
    match refusal(world.ledger.post(transfer(7, 2, 3, 101)).await) {
        Refusal::InsufficientFunds { account, available, required } => {
            assert_eq!(account, account_id(2));
            assert_eq!((available.minor_units(), required.minor_units()), (100, 101));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.number("select last_sequence from journal_head").await, before);
    assert_eq!(world.ledger.transaction(transaction_id(7)).await.unwrap(), None);
    assert_eq!((world.balance(2).await, world.balance(3).await), (100, 100));
    // The id was not used up.
    world.ledger.post(transfer(7, 2, 3, 100)).await.unwrap();
}

async fn a_deadline_is_kept(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let until = |id| NewTransaction { not_after: Some(noon()), ..transfer(id, 1, 2, 1) };
    world.ledger.post(until(1)).await.unwrap();
    world.clock.advance(Duration::from_micros(1));
    let refused = refusal(world.ledger.post(until(2)).await);
    assert_eq!(refused, Refusal::DeadlinePassed { deadline: noon() });
    assert_eq!(world.ledger.transaction(transaction_id(2)).await.unwrap(), None);
}

async fn the_largest_transaction_fits(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let mut legs = vec![debit(1, 999, Currency::MAD)];
    legs.extend((0..999).map(|_| credit(2, 1, Currency::MAD)));
    let posted = world.ledger.post(with_legs(7, legs.clone())).await.unwrap();
    let read = world.ledger.transaction(transaction_id(7)).await.unwrap();
    assert_eq!(read, Some(posted.record));
    legs.push(credit(2, 1, Currency::MAD));
    let refused = refusal(world.ledger.post(with_legs(8, legs)).await);
    assert_eq!(refused, Refusal::LegCount { count: 1_001 });
    assert_eq!(world.balance(2).await, 999);
    world.verify_clean().await;
}

async fn entries_come_newest_first_in_pages(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 0).await;
    for id in 1..=5 {
        // Three legs of each transaction are on account 2, and account 3 gets in between.
        let legs = vec![
            debit(1, 60, Currency::MAD),
            credit(2, 10, Currency::MAD),
            credit(3, 20, Currency::MAD),
            credit(2, 31, Currency::MAD),
            debit(2, 1, Currency::MAD),
        ];
        world.ledger.post(with_legs(id, legs)).await.unwrap();
    }
    for limit in [1, 2, 4, 7, 14, 15, 16] {
        let limit = PageLimit::new(limit).unwrap();
        let mut seen: Vec<Entry> = Vec::new();
        let mut after = None;
        loop {
            let page = world.ledger.entries(account_id(2), after, limit).await.unwrap();
            seen.extend(page.items);
            let Some(next) = page.next else { break };
            after = Some(EntryKey::try_from(&next).unwrap());
        }
        let keys: Vec<_> = seen.iter().map(|entry| entry.key.parts()).collect();
        let expected: Vec<_> =
            (4..=8).rev().flat_map(|sequence| [4, 3, 1].map(|leg| (sequence, leg))).collect();
        assert_eq!(keys, expected, "{limit:?}");
        let balances: Vec<_> = seen.iter().rev().map(|entry| entry.balance_after).collect();
        assert_eq!(balances[..6], [10, 41, 40, 50, 81, 80], "{limit:?}");
    }
    let limit = PageLimit::default();
    for key in [i64::MIN, -1, 0, EntryKey::new(4, 1).0] {
        let page = world.ledger.entries(account_id(2), Some(EntryKey(key)), limit).await.unwrap();
        assert_eq!((page.items, page.next), (vec![], None), "{key}");
    }
}

async fn a_new_ledger_on_the_same_store_goes_on(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let posted = world.ledger.post(transfer(7, 2, 3, 30)).await.unwrap().record;
    let world = world.restarted(&database).await;
    assert_eq!((world.balance(2).await, world.balance(3).await), (70, 130));
    let again = world.ledger.post(transfer(7, 2, 3, 30)).await.unwrap();
    assert_eq!((again.record, again.replayed), (posted.clone(), true));
    let next = world.ledger.post(transfer(8, 3, 2, 130)).await.unwrap().record;
    assert_eq!(next.sequence, posted.sequence + 1);
    world.verify_clean().await;
}

async fn recorded_times_never_run_backwards(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 100).await;
    let early = kernel::ManualClock::at(noon().minus(Duration::from_secs(60)));
    let behind = start(&world.store, EngineConfig::default(), std::sync::Arc::new(early));
    let posted = behind.post(transfer(7, 2, 1, 1)).await.unwrap().record;
    assert_eq!(posted.recorded_at, noon());
}

async fn many_accounts_are_read_at_once_each_one_time(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(1, 0).await;
    let legs = (2..1_001)
        .flat_map(|number| [debit(1, 1, Currency::MAD), credit(number, 1, Currency::MAD)]);
    let legs: Vec<_> = legs.collect();
    let opening: Vec<_> = (2..1_001)
        .map(|number| {
            let ledger = world.ledger.clone();
            tokio::spawn(async move { ledger.open_account(customer(number)).await.unwrap() })
        })
        .collect();
    for one in opening {
        one.await.unwrap();
    }
    for (id, legs) in (1..).zip(legs.chunks(1_000)) {
        world.ledger.post(with_legs(id, legs.to_vec())).await.unwrap();
    }
    // Every id twice, and some that nobody has.
    let ids: Vec<_> = (1..1_101).chain(1..1_101).map(account_id).collect();
    let accounts = world.ledger.accounts(&ids).await.unwrap();
    let mut numbers: Vec<_> = accounts.iter().map(|account| account.id).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..1_001).map(account_id).collect::<Vec<_>>());
    let total: i64 = accounts.iter().map(|account| account.balances.posted_credits).sum();
    assert_eq!(total, 999);
    assert_eq!(world.ledger.accounts(&[]).await.unwrap(), []);
}
