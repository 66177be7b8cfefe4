//! Limits on what goes through an account.

use super::holds::*;
use super::reversals::{reversal, reverse};
use super::*;
use Direction::{Incoming, Outgoing};
use Period::{Day, Month};
use ledger_api::{
    Direction, LIMITS_MAX, Limit, LimitChange, LimitFault, Limits, LimitsInUse, Measure, NewHold,
    Period,
};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

fn limit(direction: Direction, period: Period, minor_units: i64) -> Limit {
    Limit { direction, kind: None, period, minor_units: Some(minor_units), count: None }
}

fn count(direction: Direction, period: Period, count: i64) -> Limit {
    Limit { minor_units: None, count: Some(count), ..limit(direction, period, 0) }
}

fn of_kind(kind: &str, limit: Limit) -> Limit {
    Limit { kind: Some(kind.into()), ..limit }
}

fn set_limits_in(
    set: &mut WorkingSet,
    number: u128,
    zone: &str,
    limits: &[Limit],
) -> Result<LimitsInUse, Refusal> {
    let limits = Limits { time_zone: zone.parse().unwrap(), limits: limits.to_vec() };
    match set.decide(&Command::SetLimits(LimitChange { account: account(number), limits }))? {
        Outcome::Limits(limits) => Ok(limits),
        other => panic!("{other:?}"),
    }
}

fn set_limits(set: &mut WorkingSet, limits: &[Limit]) -> LimitsInUse {
    set_limits_in(set, RICH, "UTC", limits).unwrap()
}

/// The world with 10,000 more on the rich account, and these limits.
fn limited(limits: &[Limit]) -> WorkingSet {
    let mut set = world();
    post(&mut set, &into(1_000, 10_000)).unwrap();
    set_limits(&mut set, limits);
    set
}

/// What is used of each limit of the rich account: minor units and transactions.
fn used(set: &WorkingSet, now: Timestamp) -> Vec<(i64, i64)> {
    let limited = set.accounts[&account(RICH)].limited.as_ref().unwrap();
    let limits = limited.in_use(now).limits;
    limits.iter().map(|one| (one.used_minor_units, one.used_count)).collect()
}

fn out(id: u128, minor_units: i64) -> NewTransaction {
    transaction(id, &[dr(RICH, minor_units), cr(SETTLEMENT, minor_units)])
}

fn into(id: u128, minor_units: i64) -> NewTransaction {
    transaction(id, &[dr(SETTLEMENT, minor_units), cr(RICH, minor_units)])
}

fn hold_out(id: u128, minor_units: i64) -> NewHold {
    new_hold(id, &[dr(RICH, minor_units), cr(SETTLEMENT, minor_units)])
}

fn exceeded(limit: &Limit, measure: Measure, left: i64, resets_at: Option<&str>) -> Refusal {
    Refusal::LimitExceeded {
        account: account(RICH),
        limit: Box::new(limit.clone()),
        measure,
        left,
        resets_at: resets_at.map(|at| at.parse().unwrap()),
    }
}

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

#[test]
fn each_limit_holds_in_its_direction_and_kind() {
    let midnight = Some("2026-11-24T00:00:00Z");
    let december = Some("2026-12-01T00:00:00Z");
    type New = fn(u128, i64) -> NewTransaction;
    let cases: [(Limit, New, New, Option<&str>); 7] = [
        (limit(Outgoing, Period::Transaction, 70), out, into, None),
        (limit(Incoming, Period::Transaction, 70), into, out, None),
        (limit(Outgoing, Day, 70), out, into, midnight),
        (limit(Incoming, Day, 70), into, out, midnight),
        (limit(Outgoing, Month, 70), out, into, december),
        (limit(Incoming, Month, 70), into, out, december),
        (
            of_kind("card", limit(Outgoing, Day, 70)),
            |id, amount| NewTransaction { kind: "card".into(), ..out(id, amount) },
            out,
            midnight,
        ),
    ];
    for (limit, counted, free, resets_at) in cases {
        let mut set = limited(std::slice::from_ref(&limit));
        let refused = |left| Err(exceeded(&limit, Measure::Amount, left, resets_at));
        let before = all_of(&set);
        assert_eq!(post(&mut set, &counted(1, 71)).map(drop), refused(70));
        assert_eq!(all_of(&set), before);
        post(&mut set, &free(2, 71)).unwrap();
        post(&mut set, &counted(3, 40)).unwrap();
        let left = if resets_at.is_some() { 30 } else { 70 };
        assert_eq!(post(&mut set, &counted(4, left + 1)).map(drop), refused(left));
        post(&mut set, &counted(4, left)).unwrap();
        let sums = resets_at.map_or((0, 0), |_| (70, 2));
        assert_eq!(used(&set, noon()), [sums], "{limit:?}");
        // A replay counts no more.
        assert!(post(&mut set, &counted(4, left)).unwrap().replayed);
        assert_eq!(used(&set, noon()), [sums]);
    }
}

#[test]
fn transactions_are_counted_beside_their_amounts() {
    let both = Limit { count: Some(2), ..limit(Outgoing, Day, 50) };
    let mut set = limited(std::slice::from_ref(&both));
    let midnight = Some("2026-11-24T00:00:00Z");
    post(&mut set, &out(1, 10)).unwrap();
    let refused = post(&mut set, &out(2, 41)).map(drop);
    assert_eq!(refused, Err(exceeded(&both, Measure::Amount, 40, midnight)));
    post(&mut set, &out(2, 10)).unwrap();
    // The amount is looked at first, but there is enough of it.
    let refused = post(&mut set, &out(3, 1)).map(drop);
    assert_eq!(refused, Err(exceeded(&both, Measure::Count, 0, midnight)));
    assert_eq!(used(&set, noon()), [(20, 2)]);
    // A limit of nothing, and one of none.
    let nothing = limit(Outgoing, Day, 0);
    let none = count(Incoming, Month, 0);
    let mut set = limited(&[nothing.clone(), none.clone()]);
    let refused = post(&mut set, &out(1, 1)).map(drop);
    assert_eq!(refused, Err(exceeded(&nothing, Measure::Amount, 0, midnight)));
    let refused = post(&mut set, &into(1, 1)).map(drop);
    let december = Some("2026-12-01T00:00:00Z");
    assert_eq!(refused, Err(exceeded(&none, Measure::Count, 0, december)));
}

#[test]
fn the_strictest_of_several_limits_refuses_and_then_none_counts() {
    let limits = [
        limit(Outgoing, Month, 100),
        limit(Outgoing, Day, 60),
        of_kind("card", limit(Outgoing, Day, 10)),
    ];
    let mut set = limited(&limits);
    let midnight = Some("2026-11-24T00:00:00Z");
    let card = |id, amount| NewTransaction { kind: "card".into(), ..out(id, amount) };
    let refused = post(&mut set, &card(1, 11)).map(drop);
    assert_eq!(refused, Err(exceeded(&limits[2], Measure::Amount, 10, midnight)));
    assert_eq!(used(&set, noon()), [(0, 0); 3]);
    post(&mut set, &card(1, 10)).unwrap();
    post(&mut set, &out(2, 50)).unwrap();
    assert_eq!(used(&set, noon()), [(60, 2), (60, 2), (10, 1)]);
    let refused = post(&mut set, &out(3, 1)).map(drop);
    assert_eq!(refused, Err(exceeded(&limits[1], Measure::Amount, 0, midnight)));
    // The next day, the month is what is left.
    let mut set = later(set, after_seconds(DAY));
    let refused = post(&mut set, &out(3, 41)).map(drop);
    let december = Some("2026-12-01T00:00:00Z");
    assert_eq!(refused, Err(exceeded(&limits[0], Measure::Amount, 40, december)));
    post(&mut set, &out(3, 40)).unwrap();
    assert_eq!(used(&set, after_seconds(DAY)), [(100, 3), (40, 1), (0, 0)]);
}

/// What counts is what the whole transaction leaves an account with.
#[test]
fn the_net_of_an_accounts_legs_counts() {
    let mut set = limited(&[limit(Outgoing, Day, 50), limit(Incoming, Day, 50)]);
    let legs = [dr(RICH, 500), cr(SETTLEMENT, 30), cr(RICH, 470)];
    post(&mut set, &transaction(1, &legs)).unwrap();
    assert_eq!(used(&set, noon()), [(30, 1), (0, 0)]);
    let legs = [cr(RICH, 500), dr(SETTLEMENT, 30), dr(RICH, 470)];
    post(&mut set, &transaction(2, &legs)).unwrap();
    assert_eq!(used(&set, noon()), [(30, 1), (30, 1)]);
    // There and back again is nothing.
    post(&mut set, &transaction(3, &[dr(RICH, 500), cr(RICH, 500)])).unwrap();
    assert_eq!(used(&set, noon()), [(30, 1), (30, 1)]);
    // On the debit side it is credits that go out.
    let mut set = world();
    let cash = limit(Outgoing, Day, 10);
    set_limits_in(&mut set, CASH, "UTC", &[cash]).unwrap();
    post(&mut set, &transaction(1, &[dr(CASH, 90), cr(SETTLEMENT, 90)])).unwrap();
    let refused = post(&mut set, &transaction(2, &[cr(CASH, 11), dr(SETTLEMENT, 11)]));
    assert!(matches!(refused, Err(Refusal::LimitExceeded { left: 10, .. })), "{refused:?}");
}

#[test]
fn limits_begin_anew_at_midnight_where_the_account_is() {
    // Noon in universal time is 13:00 in Paris and 21:00 in Tokyo.
    for (zone, day_ends, month_ends) in [
        ("UTC", "2026-11-24T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("Europe/Paris", "2026-11-23T23:00:00Z", "2026-11-30T23:00:00Z"),
        ("Asia/Tokyo", "2026-11-23T15:00:00Z", "2026-11-30T15:00:00Z"),
        ("America/New_York", "2026-11-24T05:00:00Z", "2026-12-01T05:00:00Z"),
    ] {
        let mut set = limited(&[]);
        let limits = [limit(Outgoing, Day, 50), limit(Outgoing, Month, 120)];
        let in_use = set_limits_in(&mut set, RICH, zone, &limits).unwrap();
        let resets: Vec<_> = in_use.limits.iter().map(|one| one.resets_at).collect();
        assert_eq!(resets, [Some(at(day_ends)), Some(at(month_ends))], "{zone}");
        post(&mut set, &out(1, 50)).unwrap();
        let micro = Duration::from_micros(1);
        let mut set = later(set, at(day_ends).minus(micro));
        let refused = post(&mut set, &out(2, 1)).map(drop);
        assert_eq!(refused, Err(exceeded(&limits[0], Measure::Amount, 0, Some(day_ends))));
        let mut set = later(set, at(day_ends));
        post(&mut set, &out(2, 50)).unwrap();
        assert_eq!(used(&set, at(day_ends)), [(50, 1), (100, 2)]);
        let mut set = later(set, at(month_ends).minus(micro));
        let refused = post(&mut set, &out(3, 21)).map(drop);
        assert_eq!(refused, Err(exceeded(&limits[1], Measure::Amount, 20, Some(month_ends))));
        let mut set = later(set, at(month_ends));
        post(&mut set, &out(3, 50)).unwrap();
        assert_eq!(used(&set, at(month_ends)), [(50, 1), (50, 1)]);
    }
}

#[test]
fn what_was_used_stays_used_when_the_limits_or_the_zone_change() {
    let day = limit(Outgoing, Day, 50);
    let mut set = limited(&[day.clone(), limit(Outgoing, Month, 80)]);
    post(&mut set, &out(1, 40)).unwrap();
    for zone in ["Asia/Tokyo", "America/New_York", "Europe/Paris", "UTC"] {
        let limits = [day.clone(), limit(Outgoing, Month, 80)];
        set_limits_in(&mut set, RICH, zone, &limits).unwrap();
        assert_eq!(used(&set, noon()), [(40, 1), (40, 1)], "{zone}");
        assert!(post(&mut set, &out(2, 11)).is_err(), "{zone}");
    }
    // Another amount, and another period beside it, which counts from now on.
    set_limits(&mut set, &[limit(Outgoing, Day, 60), of_kind("transfer", day.clone())]);
    post(&mut set, &out(2, 20)).unwrap();
    assert_eq!(used(&set, noon()), [(60, 2), (20, 1)]);
    // Taken away and set again, the day is as it was; what went meanwhile was not counted.
    set_limits(&mut set, &[]);
    post(&mut set, &out(3, 1_000)).unwrap();
    set_limits(&mut set, &[limit(Outgoing, Day, 60)]);
    assert_eq!(used(&set, noon()), [(60, 2)]);
    // The same again is no change, and not in the journal.
    let (head, changes) = (set.head, set.new_limit_changes.len());
    set_limits(&mut set, &[limit(Outgoing, Day, 60)]);
    assert_eq!((set.head, set.new_limit_changes.len()), (head, changes));
}

#[test]
fn a_hold_counts_when_it_is_made_and_gives_back_what_is_let_go() {
    let limits = [
        Limit { count: Some(2), ..limit(Outgoing, Day, 100) },
        limit(Outgoing, Month, 300),
        of_kind("card", count(Outgoing, Day, 2)),
    ];
    type Step = fn(&mut WorkingSet);
    let steps: [(&str, Step, (i64, i64)); 8] = [
        ("held", |_| (), (60, 1)),
        ("whole", |set| drop(capture(set, &new_capture(1, 1, None)).unwrap()), (60, 1)),
        ("in part", |set| drop(capture(set, &new_capture(1, 1, Some(20))).unwrap()), (60, 1)),
        ("the last", |set| drop(capture(set, &last_capture(1, 1, 20)).unwrap()), (20, 1)),
        ("beyond", |set| drop(capture(set, &new_capture(1, 1, Some(70))).unwrap()), (70, 1)),
        ("voided", |set| drop(void(set, 1).unwrap()), (0, 0)),
        (
            "in part and voided",
            |set| {
                capture(set, &new_capture(1, 1, Some(20))).unwrap();
                void(set, 1).unwrap();
            },
            (20, 1),
        ),
        (
            "in part and beyond",
            |set| {
                capture(set, &new_capture(1, 1, Some(20))).unwrap();
                capture(set, &new_capture(2, 1, Some(50))).unwrap();
            },
            (70, 1),
        ),
    ];
    for (what, step, (minor_units, uses)) in steps {
        let mut set = limited(&limits);
        hold(&mut set, &NewHold { tolerance: 10, ..hold_out(1, 60) }).unwrap();
        step(&mut set);
        assert_eq!(used(&set, noon()), [(minor_units, uses); 3], "{what}");
    }
    let mut set = limited(&limits);
    let expiring = NewHold { expires_at: Some(after_seconds(60)), ..hold_out(1, 60) };
    hold(&mut set, &expiring).unwrap();
    let refused = hold(&mut set, &hold_out(2, 41)).map(drop);
    let midnight = Some("2026-11-24T00:00:00Z");
    assert_eq!(refused, Err(exceeded(&limits[0], Measure::Amount, 40, midnight)));
    let mut set = later(set, after_seconds(60));
    expire(&mut set, 1).unwrap();
    assert_eq!(used(&set, after_seconds(60)), [(0, 0); 3]);
    hold(&mut set, &hold_out(2, 100)).unwrap();
}

#[test]
fn what_is_let_go_in_another_period_gives_nothing_back() {
    let limits = [limit(Outgoing, Day, 100), limit(Outgoing, Month, 300)];
    type Step = fn(&mut WorkingSet);
    let steps: [(Step, i64); 3] = [
        (|set| drop(void(set, 1).unwrap()), 60 + 50),
        (|set| drop(expire(set, 1).unwrap()), 60 + 50),
        (|set| drop(capture(set, &last_capture(3, 2, 16)).unwrap()), 40 + 16 + 50),
    ];
    for (step, month) in steps {
        let held = || {
            let mut set = limited(&limits);
            let expiring = NewHold { expires_at: Some(after_seconds(60)), ..hold_out(1, 40) };
            hold(&mut set, &expiring).unwrap();
            hold(&mut set, &hold_out(2, 60)).unwrap();
            set
        };
        // The next day in the same month.
        let mut set = later(held(), after_seconds(DAY));
        post(&mut set, &out(9, 50)).unwrap();
        step(&mut set);
        let uses = if month == 110 { 2 } else { 3 };
        assert_eq!(used(&set, after_seconds(DAY)), [(50, 1), (month, uses)]);
        // In another month nothing of it is there any more.
        let mut set = later(held(), after_seconds(10 * DAY));
        post(&mut set, &out(9, 50)).unwrap();
        step(&mut set);
        assert_eq!(used(&set, after_seconds(10 * DAY)), [(50, 1); 2]);
    }
}

#[test]
fn what_is_taken_beyond_a_hold_must_be_within_the_limits() {
    let limits = [limit(Outgoing, Day, 65), count(Outgoing, Month, 1)];
    let mut set = limited(&limits);
    hold(&mut set, &NewHold { tolerance: 10, ..hold_out(1, 60) }).unwrap();
    let refused = capture(&mut set, &new_capture(2, 1, Some(66))).map(drop);
    let midnight = Some("2026-11-24T00:00:00Z");
    assert_eq!(refused, Err(exceeded(&limits[0], Measure::Amount, 5, midnight)));
    // It is one transaction, however often it is captured.
    capture(&mut set, &new_capture(2, 1, Some(30))).unwrap();
    capture(&mut set, &new_capture(3, 1, Some(35))).unwrap();
    assert_eq!(used(&set, noon()), [(65, 1); 2]);
    // What was held before a limit became narrow can be captured all the same.
    let mut set = limited(&limits);
    hold(&mut set, &hold_out(1, 60)).unwrap();
    set_limits(&mut set, &[limit(Outgoing, Day, 0), limit(Outgoing, Period::Transaction, 0)]);
    capture(&mut set, &new_capture(2, 1, None)).unwrap();
}

/// Otherwise whoever voids such a hold could spend its amount once more.
#[test]
fn a_hold_that_was_not_counted_gives_nothing_back() {
    let day = limit(Outgoing, Day, 100);
    let card = of_kind("card", day.clone());
    let mut set = limited(&[]);
    hold(&mut set, &hold_out(1, 90)).unwrap();
    set_limits(&mut set, std::slice::from_ref(&day));
    hold(&mut set, &hold_out(2, 5)).unwrap();
    post(&mut set, &out(1, 95)).unwrap();
    void(&mut set, 1).unwrap();
    assert_eq!(used(&set, noon()), [(100, 2)], "it was held before the limit was set");
    void(&mut set, 2).unwrap();
    assert_eq!(used(&set, noon()), [(95, 1)]);
    // The same limit with another amount goes on counting; a new one beside it begins.
    hold(&mut set, &hold_out(3, 5)).unwrap();
    set_limits(&mut set, &[limit(Outgoing, Day, 200), card]);
    hold(&mut set, &hold_out(4, 7)).unwrap();
    assert_eq!(used(&set, noon()), [(107, 3), (7, 1)]);
    void(&mut set, 3).unwrap();
    assert_eq!(used(&set, noon()), [(102, 2), (7, 1)]);
    // Set again after it was away, and after the zone changed: the hold may lie outside of what counts.
    set_limits(&mut set, &[]);
    set_limits(&mut set, std::slice::from_ref(&day));
    void(&mut set, 4).unwrap();
    assert_eq!(used(&set, noon()), [(102, 2)]);
    // Held at 23:30, which is the next day in Paris.
    let mut set = later(limited(std::slice::from_ref(&day)), at("2026-11-23T23:30:00Z"));
    hold(&mut set, &hold_out(1, 90)).unwrap();
    let now = at("2026-11-24T00:30:00Z");
    let mut set = later(set, now);
    post(&mut set, &out(1, 100)).unwrap();
    set_limits_in(&mut set, RICH, "Europe/Paris", &[day]).unwrap();
    void(&mut set, 1).unwrap();
    assert_eq!(used(&set, now), [(100, 1)]);
}

#[test]
fn a_reversal_neither_counts_nor_gives_back() {
    let mut set = limited(&[limit(Outgoing, Day, 50), limit(Incoming, Day, 50)]);
    post(&mut set, &out(1, 50)).unwrap();
    reverse(&mut set, &reversal(2, 1, None)).unwrap();
    assert_eq!(used(&set, noon()), [(50, 1), (0, 0)]);
    post(&mut set, &into(3, 50)).unwrap();
    reverse(&mut set, &reversal(4, 3, None)).unwrap();
    assert_eq!(used(&set, noon()), [(50, 1), (50, 1)]);
}

#[test]
fn what_is_undone_is_not_used() {
    let limits = [limit(Outgoing, Day, 100), count(Outgoing, Month, 10)];
    let mut set = limited(&limits);
    post(&mut set, &out(1, 10)).unwrap();
    let before = all_of(&set);
    let batch = vec![out(2, 50), out(3, 40), out(4, 1)];
    let refused = set.decide(&Command::PostAll(batch.clone()));
    assert!(matches!(refused, Err(Refusal::InBatch { index: 2, .. })), "{refused:?}");
    let dry = |command| Command::DryRun(Box::new(command));
    set.decide(&dry(Command::PostAll(batch[..2].to_vec()))).unwrap();
    set.decide(&dry(Command::Hold(hold_out(1, 90)))).unwrap();
    let narrow = Limits { limits: vec![limit(Outgoing, Day, 1)], ..Limits::default() };
    let change = LimitChange { account: account(RICH), limits: narrow };
    set.decide(&dry(Command::SetLimits(change))).unwrap();
    assert_eq!(all_of(&set), before);
    assert_eq!(used(&set, noon()), [(10, 1); 2]);
    // A chain that is refused gives its part back to the next.
    let chains = vec![batch, vec![out(5, 90)]];
    let outcomes = match set.decide(&Command::PostEach(chains)).unwrap() {
        Outcome::PostedEach(outcomes) => outcomes,
        other => panic!("{other:?}"),
    };
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, false, false, true]);
    assert_eq!(used(&set, noon()), [(100, 2); 2]);
}

#[test]
fn limits_that_contradict_themselves_are_refused() {
    let good = limit(Outgoing, Day, 1);
    let many: Vec<_> =
        (0..=LIMITS_MAX).map(|kind| of_kind(&kind.to_string(), good.clone())).collect();
    let mut set = world();
    set_limits_in(&mut set, RICH, "UTC", &many[1..]).unwrap();
    let before = all_of(&set);
    for (limits, fault) in [
        (many, LimitFault::TooMany),
        (vec![good.clone(), limit(Outgoing, Day, 2)], LimitFault::Twice(1)),
        (vec![count(Outgoing, Day, 2), good.clone()], LimitFault::Twice(1)),
        (vec![limit(Outgoing, Day, -1)], LimitFault::Measures(0)),
        (vec![good.clone(), count(Incoming, Day, -1)], LimitFault::Measures(1)),
        (vec![Limit { minor_units: None, ..good.clone() }], LimitFault::Measures(0)),
        (vec![count(Outgoing, Period::Transaction, 1)], LimitFault::Measures(0)),
        (vec![of_kind("", good.clone())], LimitFault::Kind(0)),
        (vec![of_kind(&"k".repeat(65), good.clone())], LimitFault::Kind(0)),
        (vec![of_kind("a\0", good.clone())], LimitFault::Kind(0)),
    ] {
        let refused = set_limits_in(&mut set, RICH, "UTC", &limits);
        assert_eq!(refused, Err(Refusal::LimitsInvalid(fault)), "{limits:?}");
    }
    let unknown = Err(Refusal::AccountUnknown { account: account(NOBODY) });
    assert_eq!(set_limits_in(&mut set, NOBODY, "UTC", &[good]), unknown);
    assert_eq!(all_of(&set), before);
}

#[test]
fn the_constraint_is_looked_at_before_the_limits_and_amounts_do_not_overflow() {
    let mut set = world();
    set_limits(&mut set, &[limit(Outgoing, Day, 10)]);
    assert_eq!(post(&mut set, &out(1, 101)).map(drop), insufficient(RICH, 100, 101));
    // As much as it goes, twice.
    let mut set = world();
    let most = limit(Incoming, Month, i64::MAX);
    set_limits_in(&mut set, SETTLEMENT, "UTC", &[most]).unwrap();
    let all = i64::MAX;
    hold(&mut set, &new_hold(1, &[dr(SETTLEMENT, all), cr(POOR, all)])).unwrap();
    post(&mut set, &into(2, 1)).unwrap_err();
    void(&mut set, 1).unwrap();
    post(&mut set, &into(2, 1)).unwrap();
}
