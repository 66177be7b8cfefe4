//! Taking transactions back, in whole or in part.

use super::statuses::change;
use super::*;
use ledger_api::{DESCRIPTION_CHARS_MAX, NewReversal, REVERSAL_KIND};

pub(super) fn reversal(id: u128, original: u128, minor_units: Option<i64>) -> NewReversal {
    NewReversal {
        id: transaction_id(id),
        original: transaction_id(original),
        minor_units,
        reason: "charged twice".into(),
        initiated_by: None,
    }
}

pub(super) fn reverse(
    set: &mut WorkingSet,
    new: &NewReversal,
) -> Result<Recorded<Transaction>, Refusal> {
    match set.decide(&Command::Reverse(new.clone()))? {
        Outcome::Posted(posted) => Ok(unshared(posted)),
        other => panic!("{other:?}"),
    }
}

/// The world after transaction 1: 80 from the rich account to the poor one, with all the trimmings.
fn charged_world() -> WorkingSet {
    let mut set = world();
    let charge = NewTransaction {
        description: Some("Rent".into()),
        reference: Some("R-1".into()),
        effective_at: Some(noon().minus(Duration::from_secs(3_600))),
        metadata: BTreeMap::from([("order".into(), "42".into())]),
        ..transaction(1, &[dr(RICH, 80), cr(POOR, 80)])
    };
    post(&mut set, &charge).unwrap();
    set
}

/// The posted balances of the rich and the poor account.
fn balances(set: &WorkingSet) -> (i64, i64) {
    let of = |number| set.accounts[&account(number)].standing.balances.posted(Side::Credit);
    (of(RICH), of(POOR))
}

fn exceeds<T>(left: i64, asked: i64) -> Result<T, Refusal> {
    Err(Refusal::ReversalExceedsOriginal { left, asked })
}

#[test]
fn a_whole_reversal_exchanges_the_sides_and_says_what_it_reverses() {
    let mut set = charged_world();
    let new = NewReversal { initiated_by: Some(user(7)), ..reversal(2, 1, None) };
    let reversed = reverse(&mut set, &new).unwrap();
    let expected = Transaction {
        id: transaction_id(2),
        sequence: 22,
        kind: REVERSAL_KIND.into(),
        description: Some("charged twice".into()),
        reference: None,
        effective_at: noon(),
        recorded_at: noon(),
        metadata: BTreeMap::new(),
        legs: vec![cr(RICH, 80), dr(POOR, 80)],
        reverses: Some(transaction_id(1)),
        captures: None,
        initiated_by: Some(user(7)),
    };
    assert_eq!(reversed, Recorded { record: expected, replayed: false });
    assert_eq!(balances(&set), (100, 0));
    assert_eq!(set.reversed[&transaction_id(1)], 80);
    let entries: Vec<_> = set.new_entries[2..].iter().map(leg_of).collect();
    assert_eq!(entries, [(0, 1, -80, 100), (1, 2, 80, 0)]);
}

#[test]
fn reversals_in_part_never_exceed_the_original() {
    let mut set = charged_world();
    for (id, asked, expected) in [
        (2, Some(81), exceeds(80, 81)),
        (2, Some(i64::MAX), exceeds(80, i64::MAX)),
        (2, Some(0), Err(Refusal::AmountNotPositive { leg: 0 })),
        (2, Some(-1), Err(Refusal::AmountNotPositive { leg: 0 })),
        (2, Some(i64::MIN), Err(Refusal::AmountNotPositive { leg: 0 })),
        (2, Some(30), Ok((50, 50))),
        (3, Some(51), exceeds(50, 51)),
        (3, Some(1), Ok((51, 49))),
        (4, None, Ok((100, 0))),
        (5, None, exceeds(0, 80)),
        (5, Some(1), exceeds(0, 1)),
        (5, Some(0), exceeds(0, 0)),
    ] {
        let before = all_of(&set);
        let decided = reverse(&mut set, &reversal(id, 1, asked)).map(|_| balances(&set));
        assert_eq!(decided, expected, "{id} {asked:?}");
        assert_eq!(all_of(&set) == before, expected.is_err(), "{id} {asked:?}");
    }
    // What was loaded as taken back before counts as well.
    let mut set = charged_world();
    set.reversed.insert(transaction_id(1), 79);
    assert_eq!(reverse(&mut set, &reversal(2, 1, Some(2))), exceeds(1, 2));
    let rest = reverse(&mut set, &reversal(2, 1, None)).unwrap().record;
    assert_eq!(rest.legs, [cr(RICH, 1), dr(POOR, 1)]);
}

/// Other amounts on other legs: what a part of it would be, nobody knows.
#[test]
fn many_legs_are_taken_back_whole_only() {
    let legs =
        [dr(RICH, 60), cr(POOR, 20), cr(OVERDRAFT, 40), euros(dr(EURO, 7)), { euros(cr(EURO, 7)) }];
    let mut set = world();
    post(&mut set, &transaction(1, &legs)).unwrap();
    for (asked, expected) in [
        (Some(59), Refusal::PartialReversalOfManyLegs),
        (Some(1), Refusal::PartialReversalOfManyLegs),
        (Some(0), Refusal::PartialReversalOfManyLegs),
        (Some(61), Refusal::ReversalExceedsOriginal { left: 60, asked: 61 }),
    ] {
        assert_eq!(reverse(&mut set, &reversal(2, 1, asked)), Err(expected), "{asked:?}");
    }
    for asked in [None, Some(60)] {
        let mut set = world();
        post(&mut set, &transaction(1, &legs)).unwrap();
        let reversed = reverse(&mut set, &reversal(2, 1, asked)).unwrap().record;
        let opposite = legs.map(|leg| Leg { direction: leg.direction.opposite(), ..leg });
        assert_eq!(reversed.legs, opposite);
        assert_eq!(balances(&set), (100, 0));
        assert_eq!(reverse(&mut set, &reversal(3, 1, None)), exceeds(0, 60));
        assert_eq!(reverse(&mut set, &reversal(3, 1, Some(60))), exceeds(0, 60));
    }
}

#[test]
fn a_reversal_is_not_reversed() {
    let mut set = charged_world();
    reverse(&mut set, &reversal(2, 1, Some(30))).unwrap();
    let before = all_of(&set);
    for asked in [None, Some(1), Some(31), Some(0)] {
        let refused = reverse(&mut set, &reversal(3, 2, asked));
        assert_eq!(refused, Err(Refusal::OriginalIsReversal), "{asked:?}");
    }
    assert_eq!(all_of(&set), before);
}

#[test]
fn the_same_reversal_again_is_a_replay_and_any_other_is_refused() {
    let mut set = charged_world();
    let part = reversal(2, 1, Some(30));
    let first = reverse(&mut set, &part).unwrap();
    let rest = reversal(3, 1, None);
    let second = reverse(&mut set, &rest).unwrap();
    let done = all_of(&set);
    let replay = |one: &Recorded<Transaction>| Ok(Recorded { replayed: true, ..one.clone() });
    assert_eq!(reverse(&mut set, &part), replay(&first));
    assert_eq!(reverse(&mut set, &rest), replay(&second));
    // It asks for the same, in other words.
    assert_eq!(reverse(&mut set, &reversal(3, 1, Some(50))), replay(&second));
    let reason = "other".to_owned();
    for other in [
        reversal(2, 1, Some(31)),
        reversal(2, 1, Some(50)),
        reversal(2, 9, Some(30)),
        reversal(2, 2, Some(30)),
        reversal(3, 1, Some(80)),
        NewReversal { reason: reason.clone(), ..part.clone() },
        NewReversal { reason, ..rest },
        // The id of the original, and of nothing that was reversed.
        reversal(1, 1, None),
        reversal(1, 9, None),
    ] {
        assert_eq!(reverse(&mut set, &other), Err(Refusal::IdReused), "{other:?}");
    }
    // Nor is a posting the same as a reversal, however much they look alike.
    let alike = NewTransaction {
        kind: REVERSAL_KIND.into(),
        description: Some("charged twice".into()),
        ..transaction(2, &[cr(RICH, 30), dr(POOR, 30)])
    };
    assert_eq!(post(&mut set, &alike), Err(Refusal::IdReused));
    let lookalike = NewTransaction { id: transaction_id(4), ..alike };
    post(&mut set, &transaction(5, &[dr(SETTLEMENT, 30), cr(POOR, 30)])).unwrap();
    post(&mut set, &lookalike).unwrap();
    assert_eq!(reverse(&mut set, &reversal(4, 1, Some(30))), Err(Refusal::IdReused));
    assert!(done.len() < all_of(&set).len());
}

/// Whoever asks for all that is left must not be answered with the part taken under this id.
#[test]
fn a_part_is_not_the_answer_to_all_that_is_left() {
    let mut set = charged_world();
    reverse(&mut set, &reversal(2, 1, Some(30))).unwrap();
    assert_eq!(reverse(&mut set, &reversal(2, 1, None)), Err(Refusal::IdReused));
    reverse(&mut set, &reversal(3, 1, Some(50))).unwrap();
    assert!(reverse(&mut set, &reversal(3, 1, None)).unwrap().replayed);
}

/// Each row has its own fault and, as far as that is possible, every later one too.
#[test]
fn an_earlier_refusal_of_a_reversal_wins_over_every_later_one() {
    let mut set = world();
    post(&mut set, &transaction(1, &[dr(RICH, 1), cr(POOR, 1)])).unwrap();
    post(&mut set, &transaction(2, &[dr(SETTLEMENT, 9), cr(CASH, 4), cr(POOR, 5)])).unwrap();
    post(&mut set, &transaction(3, &[dr(POOR, 4), cr(OVERDRAFT, 4)])).unwrap();
    reverse(&mut set, &reversal(5, 1, None)).unwrap();
    let untold = |new| NewReversal { reason: String::new(), ..new };
    let text = Refusal::TextInvalid { field: "reason", min: 1, max: DESCRIPTION_CHARS_MAX };
    let unknown = Refusal::OriginalNotFound { original: transaction_id(9) };
    let exceeds = |left, asked| Refusal::ReversalExceedsOriginal { left, asked };
    for (new, expected) in [
        (untold(reversal(1, 9, Some(-1))), Refusal::IdReused),
        (untold(reversal(6, 9, Some(-1))), text.clone()),
        (NewReversal { reason: "\0".into(), ..reversal(6, 9, None) }, text.clone()),
        (NewReversal { reason: "é".repeat(501), ..reversal(6, 9, None) }, text),
        (reversal(6, 9, Some(-1)), unknown),
        (reversal(6, 5, Some(2)), Refusal::OriginalIsReversal),
        (reversal(6, 1, Some(-1)), exceeds(0, -1)),
        (reversal(6, 2, Some(10)), exceeds(9, 10)),
        (reversal(6, 2, Some(-1)), Refusal::PartialReversalOfManyLegs),
        (reversal(6, 3, Some(-1)), Refusal::AmountNotPositive { leg: 0 }),
    ] {
        assert_eq!(reverse(&mut set, &new), Err(expected), "{new:?}");
    }
    change(&mut set, CASH, AccountStatus::Frozen).unwrap();
    let frozen = not_open(1, CASH, AccountStatus::Frozen);
    assert_eq!(reverse(&mut set, &reversal(6, 2, None)).map(drop), frozen);
    change(&mut set, CASH, AccountStatus::Open).unwrap();
    assert_eq!(reverse(&mut set, &reversal(6, 2, None)).map(drop), insufficient(POOR, 1, 5));
}

#[test]
fn money_that_is_spent_cannot_be_taken_back() {
    let mut set = charged_world();
    post(&mut set, &transaction(2, &[dr(POOR, 50), cr(OVERDRAFT, 50)])).unwrap();
    let before = all_of(&set);
    assert_eq!(reverse(&mut set, &reversal(3, 1, None)).map(drop), insufficient(POOR, 30, 80));
    assert_eq!(reverse(&mut set, &reversal(3, 1, Some(31))).map(drop), insufficient(POOR, 30, 31));
    assert_eq!(all_of(&set), before);
    // What is still there can, and the refusals took nothing from what is left.
    reverse(&mut set, &reversal(3, 1, Some(30))).unwrap();
    assert_eq!(set.reversed[&transaction_id(1)], 30);
    post(&mut set, &transaction(4, &[dr(SETTLEMENT, 50), cr(POOR, 50)])).unwrap();
    reverse(&mut set, &reversal(5, 1, None)).unwrap();
    assert_eq!(balances(&set), (100, 0));
}

#[test]
fn accounts_that_are_not_open_give_nothing_back() {
    for (number, leg) in [(RICH, 0), (POOR, 1)] {
        let mut set = charged_world();
        change(&mut set, number, AccountStatus::Frozen).unwrap();
        let before = all_of(&set);
        let refused = reverse(&mut set, &reversal(2, 1, None)).map(drop);
        assert_eq!(refused, not_open(leg, number, AccountStatus::Frozen));
        assert_eq!(all_of(&set), before);
        change(&mut set, number, AccountStatus::Open).unwrap();
        reverse(&mut set, &reversal(2, 1, None)).unwrap();
    }
}

#[test]
fn what_an_undone_batch_posted_is_not_there_to_reverse() {
    let mut set = world();
    let batch = vec![
        transaction(1, &[dr(RICH, 80), cr(POOR, 80)]),
        transaction(2, &[dr(RICH, 80), cr(POOR, 80)]),
    ];
    set.decide(&Command::PostAll(batch)).unwrap_err();
    let unknown = Refusal::OriginalNotFound { original: transaction_id(1) };
    assert_eq!(reverse(&mut set, &reversal(3, 1, None)), Err(unknown));
}

#[test]
fn a_dry_run_takes_nothing_from_what_is_left() {
    let mut set = charged_world();
    reverse(&mut set, &reversal(2, 1, Some(10))).unwrap();
    let before = all_of(&set);
    let whole = Command::Reverse(reversal(3, 1, None));
    set.decide(&Command::DryRun(Box::new(whole.clone()))).unwrap();
    assert_eq!(all_of(&set), before);
    set.decide(&whole).unwrap();
    assert_eq!(balances(&set), (100, 0));
}
