//! Linked transactions in a batch: a chain is posted whole or not at all, and the others go on.

use super::*;

type Posted = Result<(i64, bool), Refusal>;

/// The sequence of each transaction and whether it is a replay, or its refusal.
fn post_chains(set: &mut WorkingSet, chains: &[&[NewTransaction]]) -> Vec<Posted> {
    let chains = chains.iter().map(|chain| chain.to_vec()).collect();
    match set.decide(&Command::PostEach(chains)) {
        Ok(Outcome::PostedEach(outcomes)) => outcomes
            .into_iter()
            .map(|one| one.map(|posted| (posted.record.sequence, posted.replayed)))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn pay(id: u128, minor_units: i64) -> NewTransaction {
    transaction(id, &[dr(RICH, minor_units), cr(POOR, minor_units)])
}

fn linked(index: usize) -> Posted {
    Err(Refusal::LinkedRefused { index })
}

fn refused(result: Result<(), Refusal>) -> Posted {
    Err(result.unwrap_err())
}

#[test]
fn one_refusal_refuses_its_chain_and_no_other() {
    let mut set = world();
    let outcomes = post_chains(
        &mut set,
        &[
            &[pay(1, 10)],
            &[pay(2, 10), pay(3, 999), pay(4, 1)],
            &[pay(5, 10), pay(6, 10)],
            &[pay(7, 81)],
            // The first fault of a chain is the one that is told.
            &[pay(8, 999), transaction(9, &[])],
            &[pay(10, 70)],
        ],
    );
    let expected = [
        Ok((21, false)),
        linked(2),
        refused(insufficient(RICH, 80, 999)),
        linked(2),
        Ok((22, false)),
        Ok((23, false)),
        refused(insufficient(RICH, 70, 81)),
        refused(insufficient(RICH, 70, 999)),
        linked(7),
        Ok((24, false)),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!((set.new_transactions.len(), set.new_entries.len()), (4, 8));
    assert_eq!(set.head.last_sequence, 24);
    assert!(!set.existing_transactions.contains_key(&transaction_id(2)));
}

#[test]
fn a_chain_sees_its_own_transactions_and_a_refused_one_leaves_nothing() {
    let mut set = world();
    let there = pay(1, 100);
    let on = transaction(2, &[dr(POOR, 100), cr(OVERDRAFT, 100)]);
    let back = transaction(3, &[dr(OVERDRAFT, 151), cr(RICH, 151)]);
    let before = all_of(&set);
    let outcomes = post_chains(&mut set, &[&[there.clone(), on.clone(), back]]);
    let short = Refusal::InsufficientFunds {
        account: account(OVERDRAFT),
        available: Money::new(150, Currency::MAD),
        required: Money::new(151, Currency::MAD),
    };
    assert_eq!(outcomes, [linked(2), linked(2), Err(short)]);
    assert_eq!(all_of(&set), before);
    let back = transaction(3, &[dr(OVERDRAFT, 150), cr(RICH, 150)]);
    let outcomes = post_chains(&mut set, &[&[there, on, back]]);
    assert_eq!(outcomes, [Ok((21, false)), Ok((22, false)), Ok((23, false))]);
}

#[test]
fn a_chain_sent_again_is_replayed_and_an_id_twice_refuses_it() {
    let mut set = world();
    post(&mut set, &pay(2, 10)).unwrap();
    let chain = [pay(1, 10), pay(2, 10), pay(3, 10)];
    let first = post_chains(&mut set, &[&chain]);
    assert_eq!(first, [Ok((22, false)), Ok((21, true)), Ok((23, false))]);
    let done = all_of(&set);
    let again = post_chains(&mut set, &[&chain, &[pay(4, 999), pay(5, 1)]]);
    let short = refused(insufficient(RICH, 70, 999));
    assert_eq!(again, [Ok((22, true)), Ok((21, true)), Ok((23, true)), short, linked(3)]);
    assert_eq!(all_of(&set), done);
    // What was done before stays when the chain around it is refused.
    let outcomes = post_chains(&mut set, &[&[pay(6, 1), pay(2, 10), pay(6, 2)]]);
    assert_eq!(outcomes, [linked(2), linked(2), Err(Refusal::IdReused)]);
    assert_eq!(all_of(&set), done);
}

#[test]
fn a_dry_run_of_chains_tells_what_would_come_of_each() {
    let mut set = world();
    let chains = [vec![pay(1, 60), pay(2, 60)], vec![pay(3, 60), pay(4, 40)], vec![pay(5, 1)]];
    let before = all_of(&set);
    let command = Command::PostEach(chains.to_vec());
    let tried = set.decide(&Command::DryRun(Box::new(command.clone())));
    assert_eq!(all_of(&set), before);
    assert_eq!(format!("{:?}", set.decide(&command)), format!("{tried:?}"));
    assert_eq!(set.new_transactions.len(), 2);
}
