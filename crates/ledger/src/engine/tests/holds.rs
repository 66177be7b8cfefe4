//! Setting money aside, taking it and letting it go.

use super::statuses::change;
use super::*;
use HoldStatus::{Captured, Expired, Pending, Voided};
use ledger_api::{Hold, HoldId, HoldRelease, HoldStatus, NewCapture, NewHold, ReleaseCause};

pub(super) fn hold_id(number: u128) -> HoldId {
    HoldId(Uuid::from_u128(number))
}

pub(super) fn new_hold(id: u128, legs: &[Leg]) -> NewHold {
    NewHold {
        id: hold_id(id),
        kind: "card".into(),
        description: None,
        reference: None,
        metadata: BTreeMap::new(),
        legs: legs.to_vec(),
        expires_at: None,
        tolerance: 0,
        initiated_by: None,
    }
}

pub(super) fn new_capture(id: u128, hold: u128, minor_units: Option<i64>) -> NewCapture {
    NewCapture {
        id: transaction_id(id),
        hold: hold_id(hold),
        minor_units,
        is_final: false,
        initiated_by: None,
    }
}

/// The last capture, whatever is left.
pub(super) fn last_capture(id: u128, hold: u128, minor_units: i64) -> NewCapture {
    NewCapture { is_final: true, ..new_capture(id, hold, Some(minor_units)) }
}

pub(super) fn hold(set: &mut WorkingSet, new: &NewHold) -> Result<Recorded<Hold>, Refusal> {
    match set.decide(&Command::Hold(new.clone()))? {
        Outcome::Held(held) => Ok(held),
        other => panic!("{other:?}"),
    }
}

pub(super) fn capture(
    set: &mut WorkingSet,
    new: &NewCapture,
) -> Result<Recorded<Transaction>, Refusal> {
    match set.decide(&Command::Capture(new.clone()))? {
        Outcome::Posted(posted) => Ok(unshared(posted)),
        other => panic!("{other:?}"),
    }
}

fn release(
    set: &mut WorkingSet,
    hold: u128,
    cause: ReleaseCause,
) -> Result<Recorded<Hold>, Refusal> {
    let release = HoldRelease { hold: hold_id(hold), cause, initiated_by: None };
    match set.decide(&Command::Release(release))? {
        Outcome::Held(held) => Ok(held),
        other => panic!("{other:?}"),
    }
}

pub(super) fn void(set: &mut WorkingSet, hold: u128) -> Result<Recorded<Hold>, Refusal> {
    release(set, hold, ReleaseCause::Voided(Some("cancelled".into())))
}

fn voided_by(number: u128) -> HoldRelease {
    let initiated_by = Some(user(number));
    HoldRelease { hold: hold_id(1), cause: ReleaseCause::Voided(None), initiated_by }
}

pub(super) fn expire(set: &mut WorkingSet, hold: u128) -> Result<Recorded<Hold>, Refusal> {
    release(set, hold, ReleaseCause::Expired)
}

/// What another group finds at that instant.
pub(super) fn later(set: WorkingSet, now: Timestamp) -> WorkingSet {
    let mut next = WorkingSet::new(set.head, now);
    next.accounts = set.accounts.into_iter().map(|(id, state)| (id, state.settled())).collect();
    next.existing_accounts = set.existing_accounts;
    next.existing_transactions = set.existing_transactions;
    next.reversed = set.reversed;
    next.holds = set.holds;
    for state in next.holds.values_mut() {
        (state.is_new, state.changed) = (false, false);
    }
    next
}

pub(super) fn after_seconds(seconds: u64) -> Timestamp {
    noon().plus(Duration::from_secs(seconds))
}

type Step = fn(&mut WorkingSet);
type Figures = (i64, i64, i64, i64);

/// An account's posted and available balance, and what is on hold on its debit and credit side.
fn figures(set: &WorkingSet, number: u128) -> Figures {
    let state = &set.accounts[&account(number)];
    let balances = state.standing.balances;
    let side = state.normal_side;
    let (posted, available) = (balances.posted(side), balances.available(side));
    (posted, available, balances.pending_debits, balances.pending_credits)
}

/// A hold of 60 from the rich account to the poor one, for a minute.
fn held_world(tolerance: i64) -> WorkingSet {
    let mut set = world();
    let new = NewHold {
        expires_at: Some(after_seconds(60)),
        tolerance,
        ..new_hold(1, &[dr(RICH, 60), cr(POOR, 60)])
    };
    hold(&mut set, &new).unwrap();
    set
}

fn not_pending(status: HoldStatus) -> Result<HoldStatus, Refusal> {
    Err(Refusal::HoldNotPending { status })
}

fn exceeds<T>(left: i64, asked: i64) -> Result<T, Refusal> {
    Err(Refusal::CaptureExceedsHold { left, asked })
}

#[test]
fn every_event_leads_from_every_status_where_the_table_says() {
    let part = |set: &mut WorkingSet| capture(set, &new_capture(9, 1, Some(1))).map(drop);
    let last = |set: &mut WorkingSet| capture(set, &last_capture(9, 1, 1)).map(drop);
    let voided = |set: &mut WorkingSet| void(set, 1).map(drop);
    let expired = |set: &mut WorkingSet| expire(set, 1).map(drop);
    type Event = fn(&mut WorkingSet) -> Result<(), Refusal>;
    let events: [(Event, bool); 4] =
        [(part, false), (last, false), (voided, false), (expired, true)];
    let table = [
        (Pending, [Ok(Pending), Ok(Captured), Ok(Voided), Ok(Expired)]),
        (Captured, std::array::from_fn(|_| not_pending(Captured))),
        (Voided, [not_pending(Voided), not_pending(Voided), Ok(Voided), not_pending(Voided)]),
        (Expired, [not_pending(Expired), not_pending(Expired), not_pending(Expired), Ok(Expired)]),
    ];
    for (status, row) in table {
        for (place, ((event, needs_time), expected)) in events.iter().zip(row).enumerate() {
            let mut set = held_world(0);
            match status {
                Pending => {}
                Captured => drop(capture(&mut set, &new_capture(8, 1, None)).unwrap()),
                Voided => drop(void(&mut set, 1).unwrap()),
                Expired => {
                    set = later(set, after_seconds(60));
                    expire(&mut set, 1).unwrap();
                }
            }
            if *needs_time {
                set = later(set, after_seconds(60));
            }
            let before = all_of(&set);
            let came = event(&mut set).map(|()| set.holds[&hold_id(1)].hold.status);
            assert_eq!(came, expected, "{status:?} {place}");
            // A refusal and a second end of the same kind leave nothing.
            let moved = came.is_ok_and(|is| is != status || is == Pending);
            assert_eq!(all_of(&set) != before, moved, "{status:?} {place}");
            let hold = &set.holds[&hold_id(1)].hold;
            assert_eq!(hold.ended_by.is_some(), hold.status != Pending);
        }
    }
}

#[test]
fn what_is_held_is_pending_until_it_is_captured_or_let_go() {
    let captured_in_part: Step = |set| drop(capture(set, &new_capture(2, 1, Some(20))).unwrap());
    let steps: [(&str, &[Step], Figures, Figures); 7] = [
        ("held", &[], (100, 40, 60, 0), (0, 0, 0, 60)),
        ("in part", &[captured_in_part], (80, 40, 40, 0), (20, 20, 0, 40)),
        (
            "in two parts",
            &[captured_in_part, |set| drop(capture(set, &new_capture(3, 1, Some(40))).unwrap())],
            (40, 40, 0, 0),
            (60, 60, 0, 0),
        ),
        (
            "whole",
            &[|set| drop(capture(set, &new_capture(2, 1, None)).unwrap())],
            (40, 40, 0, 0),
            (60, 60, 0, 0),
        ),
        (
            "the last in part",
            &[captured_in_part, |set| drop(capture(set, &last_capture(3, 1, 5)).unwrap())],
            (75, 75, 0, 0),
            (25, 25, 0, 0),
        ),
        ("voided", &[|set| drop(void(set, 1).unwrap())], (100, 100, 0, 0), (0, 0, 0, 0)),
        (
            "in part, then voided",
            &[captured_in_part, |set| drop(void(set, 1).unwrap())],
            (80, 80, 0, 0),
            (20, 20, 0, 0),
        ),
    ];
    for (what, steps, rich, poor) in steps {
        let mut set = held_world(0);
        steps.iter().for_each(|step| step(&mut set));
        assert_eq!((figures(&set, RICH), figures(&set, POOR)), (rich, poor), "{what}");
    }
    let mut set = later(held_world(0), after_seconds(60));
    expire(&mut set, 1).unwrap();
    assert_eq!(figures(&set, RICH), (100, 100, 0, 0));
    assert_eq!(set.changed_accounts().len(), 2);
}

/// On the debit side it is credits that go out.
#[test]
fn money_on_hold_to_go_out_is_not_available_on_either_side() {
    let mut set = world();
    hold(&mut set, &new_hold(1, &[dr(RICH, 30), cr(CASH, 30)])).unwrap();
    assert_eq!(figures(&set, CASH), (100, 70, 0, 30));
    assert_eq!(figures(&set, RICH), (100, 70, 30, 0));
    let pay = |amount| transaction(9, &[dr(RICH, amount), cr(POOR, amount)]);
    assert_eq!(post(&mut set, &pay(71)).map(drop), insufficient(RICH, 70, 71));
    let more = |id, amount| new_hold(id, &[dr(RICH, amount), cr(POOR, amount)]);
    assert_eq!(hold(&mut set, &more(2, 71)).map(drop), insufficient(RICH, 70, 71));
    hold(&mut set, &more(2, 70)).unwrap();
    // What is to come in cannot be spent yet.
    let spend = transaction(9, &[dr(POOR, 1), cr(RICH, 1)]);
    assert_eq!(post(&mut set, &spend).map(drop), insufficient(POOR, 0, 1));
    // Down to nothing, and each hold is still covered.
    capture(&mut set, &new_capture(10, 1, None)).unwrap();
    capture(&mut set, &new_capture(11, 2, None)).unwrap();
    assert_eq!((figures(&set, RICH), figures(&set, POOR)), ((0, 0, 0, 0), (70, 70, 0, 0)));
}

#[test]
fn a_capture_is_a_transaction_of_the_hold() {
    let mut set = world();
    let new = NewHold {
        description: Some("Hotel".into()),
        reference: Some("R-1".into()),
        metadata: BTreeMap::from([("room".into(), "42".into())]),
        ..new_hold(1, &[dr(RICH, 60), cr(POOR, 60)])
    };
    let held = hold(&mut set, &new).unwrap().record;
    assert_eq!((held.sequence, held.created_at, held.remaining()), (21, noon(), 60));
    let part = NewCapture { initiated_by: Some(user(7)), ..new_capture(7, 1, Some(25)) };
    let posted = capture(&mut set, &part).unwrap();
    let expected = Transaction {
        id: transaction_id(7),
        sequence: 22,
        kind: "card".into(),
        description: Some("Hotel".into()),
        reference: Some("R-1".into()),
        effective_at: noon(),
        recorded_at: noon(),
        metadata: BTreeMap::from([("room".into(), "42".into())]),
        legs: vec![dr(RICH, 25), cr(POOR, 25)],
        reverses: None,
        captures: Some(hold_id(1)),
        initiated_by: Some(user(7)),
    };
    assert_eq!(posted, Recorded { record: expected, replayed: false });
    let entries: Vec<_> = set.new_entries.iter().map(leg_of).collect();
    assert_eq!(entries, [(0, 1, 25, 75), (1, 2, -25, 25)]);
    let now = &set.holds[&hold_id(1)].hold;
    assert_eq!((now.captured, now.remaining(), now.status), (25, 35, Pending));
    assert!(now.has_content_of(&new), "what was held stays as it was");
    let ended = void(&mut set, 1).unwrap().record;
    assert_eq!((ended.captured, ended.remaining(), ended.ended_by), (25, 0, Some(23)));
    assert_eq!(set.holds_to_add().count(), 1);
    assert_eq!(set.changed_holds().count(), 0, "this group made it");
}

#[test]
fn no_more_is_captured_than_the_hold_and_its_tolerance_allow() {
    let mut set = held_world(10);
    for (id, asked, expected) in [
        (2, Some(71), exceeds(70, 71)),
        (2, Some(i64::MAX), exceeds(70, i64::MAX)),
        (2, Some(0), Err(Refusal::AmountNotPositive { leg: 0 })),
        (2, Some(-1), Err(Refusal::AmountNotPositive { leg: 0 })),
        (2, Some(i64::MIN), Err(Refusal::AmountNotPositive { leg: 0 })),
        (2, Some(25), Ok((Pending, 25))),
        (3, Some(46), exceeds(45, 46)),
        (3, Some(45), Ok((Captured, 70))),
        (4, Some(1), Err(Refusal::HoldNotPending { status: Captured })),
        (4, None, Err(Refusal::HoldNotPending { status: Captured })),
    ] {
        let before = all_of(&set);
        let came = capture(&mut set, &new_capture(id, 1, asked));
        let hold = &set.holds[&hold_id(1)].hold;
        assert_eq!(came.map(|_| (hold.status, hold.captured)), expected, "{id} {asked:?}");
        assert_eq!(all_of(&set) == before, expected.is_err(), "{id} {asked:?}");
    }
    assert_eq!((figures(&set, RICH), figures(&set, POOR)), ((30, 30, 0, 0), (70, 70, 0, 0)));
    // Without an amount it is what is left, and the tolerance is not used.
    let mut set = held_world(10);
    assert_eq!(capture(&mut set, &new_capture(2, 1, None)).unwrap().record.legs[0], dr(RICH, 60));
    // What is taken beyond the hold must be there.
    let mut set = held_world(i64::MAX);
    assert_eq!(
        capture(&mut set, &new_capture(2, 1, Some(101))).map(drop),
        insufficient(RICH, 40, 41)
    );
    capture(&mut set, &new_capture(2, 1, Some(100))).unwrap();
    assert_eq!(figures(&set, RICH), (0, 0, 0, 0));
}

/// Other amounts on other legs: what a part of it would be, nobody knows.
#[test]
fn a_hold_of_many_legs_is_captured_whole_or_let_go() {
    let legs =
        [dr(RICH, 60), cr(POOR, 20), cr(OVERDRAFT, 40), euros(dr(EURO, 7)), euros(cr(EURO, 7))];
    let mut set = world();
    let tolerant = NewHold { tolerance: 1, ..new_hold(1, &legs) };
    assert_eq!(hold(&mut set, &tolerant), Err(Refusal::ToleranceInvalid));
    hold(&mut set, &new_hold(1, &legs)).unwrap();
    assert_eq!(figures(&set, EURO), (0, -7, 7, 7));
    let mut voided = later(set, after_seconds(1));
    let set = &mut voided;
    for (asked, is_final, expected) in [
        (Some(59), false, Refusal::PartialCaptureOfManyLegs),
        (Some(59), true, Refusal::PartialCaptureOfManyLegs),
        (Some(0), false, Refusal::PartialCaptureOfManyLegs),
        (Some(61), false, Refusal::CaptureExceedsHold { left: 60, asked: 61 }),
    ] {
        let new = NewCapture { is_final, ..new_capture(2, 1, asked) };
        assert_eq!(capture(set, &new), Err(expected), "{asked:?}");
    }
    capture(set, &new_capture(2, 1, Some(60))).unwrap();
    assert_eq!((figures(set, RICH), figures(set, POOR)), ((40, 40, 0, 0), (20, 20, 0, 0)));
    assert_eq!((figures(set, OVERDRAFT), figures(set, EURO)), ((40, 40, 0, 0), (0, 0, 0, 0)));
    assert_eq!(set.changed_holds().count(), 1);
    let mut set = world();
    hold(&mut set, &new_hold(1, &legs)).unwrap();
    void(&mut set, 1).unwrap();
    for number in [RICH, POOR, OVERDRAFT, EURO] {
        assert_eq!(figures(&set, number), figures(&world(), number), "{number}");
    }
}

#[test]
fn an_account_may_stand_on_both_sides_of_a_hold() {
    let mut set = world();
    let first = hold(&mut set, &new_hold(1, &[dr(RICH, 60), cr(RICH, 60)])).unwrap().record;
    assert_eq!(figures(&set, RICH), (100, 40, 60, 60));
    hold(&mut set, &new_hold(3, &[dr(RICH, 1), cr(RICH, 1)])).unwrap();
    let previous: Vec<_> = set.new_hold_legs.iter().map(|leg| leg.previous).collect();
    assert_eq!(previous, [None, None, Some(first.sequence), Some(first.sequence)]);
    void(&mut set, 3).unwrap();
    capture(&mut set, &new_capture(2, 1, Some(10))).unwrap();
    assert_eq!(figures(&set, RICH), (100, 50, 50, 50));
    void(&mut set, 1).unwrap();
    assert_eq!(figures(&set, RICH), (100, 100, 0, 0));
}

/// Each row has its own fault and, as far as that is possible, every later one too.
#[test]
fn a_hold_is_refused_for_the_first_of_its_faults() {
    let mut set = world();
    hold(&mut set, &new_hold(1, &[dr(RICH, 1), cr(POOR, 1)])).unwrap();
    let over = |new: NewHold| NewHold { expires_at: Some(noon()), ..new };
    let untold = |new: NewHold| NewHold { kind: String::new(), ..new };
    let odd = |new: NewHold| NewHold { tolerance: -1, ..new };
    let rows = [
        (over(untold(new_hold(1, &[]))), Refusal::IdReused),
        (over(untold(new_hold(2, &[]))), Refusal::TextInvalid { field: "kind", min: 1, max: 64 }),
        (over(new_hold(2, &[])), Refusal::HoldExpiry { expires_at: Some(noon()), is_over: true }),
        (odd(new_hold(2, &[dr(NOBODY, 1)])), Refusal::LegCount { count: 1 }),
        (odd(new_hold(2, &[dr(RICH, 2), cr(NOBODY, 1)])), Refusal::ToleranceInvalid),
        (new_hold(2, &[dr(RICH, 2), cr(NOBODY, 1)]), {
            unbalanced(Currency::MAD, 2, 1).unwrap_err()
        }),
        (new_hold(2, &[dr(RICH, 999), cr(NOBODY, 999)]), not_found(1).unwrap_err()),
        (new_hold(2, &[dr(RICH, 999), cr(FROZEN, 999)]), {
            not_open(1, FROZEN, AccountStatus::Frozen).unwrap_err()
        }),
        (new_hold(2, &[dr(RICH, 999), cr(POOR, 999)]), insufficient(RICH, 99, 999).unwrap_err()),
    ];
    for (new, expected) in rows {
        assert_eq!(hold(&mut set, &new), Err(expected), "{new:?}");
    }
    let unknown = Refusal::HoldNotFound { hold: hold_id(9) };
    assert_eq!(capture(&mut set, &new_capture(2, 9, None)), Err(unknown.clone()));
    assert_eq!(void(&mut set, 9), Err(unknown));
}

#[test]
fn what_is_on_hold_stays_within_64_bits() {
    let mut set = world();
    let new = |id, amount| new_hold(id, &[dr(SETTLEMENT, amount), cr(POOR, amount)]);
    hold(&mut set, &new(1, i64::MAX)).unwrap();
    assert_eq!(hold(&mut set, &new(2, 1)).map(drop), overflow(0, SETTLEMENT));
    // What was posted meanwhile may leave no room; the hold can still be let go.
    post(&mut set, &transaction(3, &[dr(SETTLEMENT, 9), cr(POOR, 9)])).unwrap();
    assert_eq!(capture(&mut set, &new_capture(4, 1, None)).map(drop), overflow(0, SETTLEMENT));
    capture(&mut set, &new_capture(4, 1, Some(i64::MAX - 9))).unwrap();
    void(&mut set, 1).unwrap();
    assert_eq!(figures(&set, POOR), (i64::MAX, i64::MAX, 0, 0));
    // As far below nothing as it goes.
    let mut set = world();
    hold(&mut set, &new_hold(1, &[cr(SETTLEMENT, i64::MAX), dr(EURO, 1)])).unwrap_err();
    hold(&mut set, &new_hold(1, &[cr(SETTLEMENT, i64::MAX), dr(SETTLEMENT, i64::MAX)])).unwrap();
    let most = i64::MAX - 100;
    post(&mut set, &transaction(2, &[cr(SETTLEMENT, most), dr(SETTLEMENT, most)])).unwrap();
    assert_eq!(figures(&set, SETTLEMENT), (0, -i64::MAX, i64::MAX, i64::MAX));
    void(&mut set, 1).unwrap();
}

#[test]
fn the_same_hold_again_is_answered_as_it_is_and_another_refused() {
    let full = NewHold {
        description: Some("Hotel".into()),
        reference: Some("R-1".into()),
        metadata: BTreeMap::from([("room".into(), "42".into())]),
        expires_at: Some(after_seconds(60)),
        tolerance: 5,
        ..new_hold(1, &[dr(RICH, 60), cr(POOR, 60)])
    };
    let mut set = world();
    let first = hold(&mut set, &full).unwrap();
    assert_eq!(hold(&mut set, &full), Ok(Recorded { replayed: true, ..first }));
    let changes: [fn(&mut NewHold); 8] = [
        |new| new.kind = "other".into(),
        |new| new.description = None,
        |new| new.reference = None,
        |new| new.metadata.clear(),
        |new| new.expires_at = None,
        |new| new.tolerance = 4,
        |new| new.legs.reverse(),
        |new| new.legs = vec![dr(RICH, 59), cr(POOR, 59)],
    ];
    for change in changes {
        let mut other = full.clone();
        change(&mut other);
        assert_eq!(hold(&mut set, &other), Err(Refusal::IdReused), "{other:?}");
    }
    // Long after it has ended, too, and over time.
    capture(&mut set, &last_capture(2, 1, 50)).unwrap();
    let mut set = later(set, after_seconds(3_600));
    let again = hold(&mut set, &full).unwrap();
    assert_eq!((again.replayed, again.record.status, again.record.captured), (true, Captured, 50));
    assert!(!set.is_changed());
}

#[test]
fn the_same_capture_again_takes_nothing() {
    let is_final = |new: NewCapture| NewCapture { is_final: true, ..new };
    let part = |minor_units| new_capture(7, 1, minor_units);
    // What was captured as transaction 7; what comes with the same id, and whether it is the same.
    for (first, rows) in [
        (
            part(Some(20)),
            vec![
                (part(Some(20)), true),
                (part(Some(21)), false),
                (part(None), false),
                (is_final(part(Some(20))), false),
                (new_capture(7, 2, Some(20)), false),
            ],
        ),
        (
            part(None),
            vec![
                (part(None), true),
                (part(Some(60)), true),
                (part(Some(59)), false),
                (is_final(part(None)), true),
            ],
        ),
        (
            is_final(part(Some(20))),
            vec![(is_final(part(Some(20))), true), (is_final(part(Some(21))), false)],
        ),
    ] {
        let mut set = held_world(0);
        hold(&mut set, &new_hold(2, &[dr(RICH, 20), cr(POOR, 20)])).unwrap();
        let posted = capture(&mut set, &first).unwrap().record;
        // In another group, over time.
        let mut set = later(set, after_seconds(90));
        for (again, is_same) in rows {
            let expected = match is_same {
                true => Ok(Recorded { record: posted.clone(), replayed: true }),
                false => Err(Refusal::IdReused),
            };
            assert_eq!(capture(&mut set, &again), expected, "{first:?} {again:?}");
        }
        assert!(!set.is_changed());
    }
}

/// An id names one transaction, whatever it came from.
#[test]
fn transactions_and_captures_share_their_ids() {
    let mut set = held_world(0);
    let legs = [dr(RICH, 5), cr(POOR, 5)];
    post(&mut set, &transaction(7, &legs)).unwrap();
    assert_eq!(capture(&mut set, &new_capture(7, 1, Some(5))), Err(Refusal::IdReused));
    capture(&mut set, &new_capture(8, 1, Some(5))).unwrap();
    let same = NewTransaction { kind: "card".into(), ..transaction(8, &legs) };
    assert_eq!(post(&mut set, &same), Err(Refusal::IdReused));
    // A hold has ids of its own.
    hold(&mut set, &new_hold(7, &legs)).unwrap();
}

#[test]
fn a_hold_over_time_is_neither_captured_nor_expired_before() {
    let set = held_world(0);
    let at = Some(after_seconds(60));
    let micro = Duration::from_micros(1);
    let mut set = later(set, after_seconds(60).minus(micro));
    let early = Refusal::HoldExpiry { expires_at: at, is_over: false };
    assert_eq!(expire(&mut set, 1), Err(early));
    capture(&mut set, &new_capture(2, 1, Some(1))).unwrap();
    let mut set = later(set, after_seconds(60));
    let over = Refusal::HoldExpiry { expires_at: at, is_over: true };
    assert_eq!(capture(&mut set, &new_capture(3, 1, Some(1))), Err(over));
    assert!(capture(&mut set, &new_capture(2, 1, Some(1))).unwrap().replayed);
    expire(&mut set, 1).unwrap();
    assert_eq!(figures(&set, RICH), (99, 99, 0, 0));
    // One that does not expire never does.
    let mut set = world();
    hold(&mut set, &new_hold(1, &[dr(RICH, 1), cr(POOR, 1)])).unwrap();
    let mut set = later(set, after_seconds(1_000_000_000));
    let never = Refusal::HoldExpiry { expires_at: None, is_over: false };
    assert_eq!(expire(&mut set, 1), Err(never));
}

#[test]
fn a_frozen_account_lets_go_what_is_held_but_gives_nothing() {
    let mut set = held_world(0);
    change(&mut set, RICH, AccountStatus::Frozen).unwrap();
    let refused = capture(&mut set, &new_capture(2, 1, None)).map(drop);
    assert_eq!(refused, not_open(0, RICH, AccountStatus::Frozen));
    void(&mut set, 1).unwrap();
    assert_eq!(figures(&set, RICH), (100, 100, 0, 0));
    // With something on hold nothing is closed.
    let mut set = held_world(0);
    let balance = Money::new(0, Currency::MAD);
    let not_empty = Err(Refusal::AccountNotEmpty { balance });
    assert_eq!(change(&mut set, POOR, AccountStatus::Closed), not_empty);
    void(&mut set, 1).unwrap();
    change(&mut set, POOR, AccountStatus::Closed).unwrap();
}

#[test]
fn a_reason_is_short_and_holds_no_zero() {
    let mut set = held_world(0);
    for reason in ["x".repeat(501), "a\0b".into()] {
        let text = Refusal::TextInvalid { field: "reason", min: 0, max: 500 };
        assert_eq!(release(&mut set, 1, ReleaseCause::Voided(Some(reason))), Err(text));
    }
    release(&mut set, 1, ReleaseCause::Voided(None)).unwrap();
    assert_eq!(set.new_hold_changes[0].reason, None);
}

#[test]
fn a_dry_run_of_a_hold_leaves_nothing() {
    let dry = |command| Command::DryRun(Box::new(command));
    let mut set = later(held_world(5), after_seconds(1));
    let commands = [
        Command::Hold(new_hold(2, &[dr(RICH, 40), cr(POOR, 40)])),
        Command::Hold(new_hold(2, &[dr(RICH, 41), cr(POOR, 41)])),
        Command::Capture(new_capture(3, 1, Some(20))),
        Command::Capture(new_capture(3, 1, None)),
        Command::Capture(last_capture(3, 1, 65)),
        Command::Capture(new_capture(3, 1, Some(66))),
        Command::Release(voided_by(7)),
    ];
    for command in commands {
        let before = all_of(&set);
        let tried = format!("{:?}", set.decide(&dry(command.clone())));
        assert_eq!(all_of(&set), before, "{command:?}");
        assert!(!set.is_changed());
        // In earnest the same comes of it.
        let mut copy = later(held_world(5), after_seconds(1));
        assert_eq!(format!("{:?}", copy.decide(&command)), tried);
    }
    capture(&mut set, &new_capture(3, 1, None)).unwrap();
}
