//! A sound history passes; each planted violation is found.

use super::check::check;
use super::*;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn movement(from: Account, to: Account, minor_units: i64) -> Movement {
    Movement { from, to, minor_units }
}

fn line(number: u128, sequence: i64, movement: Movement) -> Line {
    Line { id: id(number), sequence, is_hold: false, movement, reverses: None, captures: None }
}

fn operation(request: Request, (begun, ended): (u64, u64), outcome: Outcome) -> Operation {
    Operation { client: 0, request, begun, last_begun: begun, ended, outcome }
}

fn transfer(number: u128, one: Movement, sequence: i64, times: (u64, u64)) -> Operation {
    let outcome = Outcome::Recorded(vec![(id(number), sequence)]);
    operation(Request::Transfers(vec![(id(number), one)]), times, outcome)
}

fn read(seen: Seen, (begun, ended): (u64, u64)) -> Read {
    Read { client: 0, begun, ended, seen }
}

fn balance(account: Account, posted_debits: i64, posted_credits: i64) -> Seen {
    let counters = Counters { posted_debits, posted_credits, ..Counters::default() };
    Seen::Account { account, counters }
}

/// Account 1 gets 100; then 30 go to account 2 and, at the same time, 20 to account 3; then everything of
/// every other kind happens once.
fn sound() -> History {
    let fund = movement(TREASURY, 1, 100);
    let (first, second) = (movement(1, 2, 30), movement(1, 3, 20));
    let batch = [(id(4), movement(2, 3, 5)), (id(5), movement(3, 1, 25))];
    let held = movement(1, 2, 40);
    let hold = Line { is_hold: true, ..line(7, 7, held) };
    let capture = Line { captures: Some(id(7)), ..line(8, 8, movement(1, 2, 15)) };
    let reversal = Line { reverses: Some(id(2)), ..line(6, 6, movement(2, 1, 10)) };
    let recorded = |number: u128, sequence| Outcome::Recorded(vec![(id(number), sequence)]);
    let refused = Request::Transfers(vec![(id(9), movement(2, 1, 500))]);
    let refusal = Refusal::InsufficientFunds { account: 2, available: 30, index: None };
    History {
        accounts: 4,
        base_sequence: 0,
        operations: vec![
            transfer(1, fund, 1, (0, 10)),
            transfer(2, first, 2, (20, 40)),
            transfer(3, second, 3, (25, 35)),
            operation(
                Request::Transfers(batch.to_vec()),
                (50, 60),
                Outcome::Recorded(vec![(id(4), 4), (id(5), 5)]),
            ),
            operation(
                Request::Reversal { id: id(6), original: id(2), minor_units: Some(10) },
                (70, 80),
                recorded(6, 6),
            ),
            operation(Request::Hold { id: id(7), movement: held }, (90, 100), recorded(7, 7)),
            operation(
                Request::Capture { id: id(8), hold: id(7), minor_units: Some(15), is_final: true },
                (110, 120),
                recorded(8, 8),
            ),
            operation(refused, (130, 140), Outcome::Refused(refusal)),
        ],
        reads: vec![
            // While the two transfers go on: after the first, and before the second.
            read(balance(1, 30, 100), (30, 34)),
            read(balance(1, 50, 100), (41, 45)),
            read(Seen::Balance { account: 3, minor_units: 0, as_of: 5 }, (61, 62)),
            read(Seen::Totals { debits: 180, credits: 180 }, (61, 65)),
            read(Seen::Hold { id: id(7), state: Some((15, false)) }, (121, 122)),
            read(Seen::Transaction { id: id(8), line: Some(capture.clone()) }, (121, 125)),
            read(Seen::Transaction { id: id(9), line: None }, (141, 145)),
        ],
        journal: vec![
            line(1, 1, fund),
            line(2, 2, first),
            line(3, 3, second),
            line(4, 4, batch[0].1),
            line(5, 5, batch[1].1),
            reversal,
            hold,
            capture,
        ],
    }
}

#[track_caller]
fn expect(history: &History, word: &str) {
    let violations = check(history);
    assert!(violations.iter().any(|one| one.contains(word)), "{violations:#?}");
}

#[test]
fn a_sound_history_passes() {
    assert_eq!(check(&sound()), Vec::<String>::new());
}

#[test]
fn a_lost_transfer_is_found() {
    let mut history = sound();
    history.journal.pop();
    expect(&history, "lost");
}

#[test]
fn a_transfer_that_is_recorded_twice_is_found() {
    let mut history = sound();
    history.journal.push(Line { sequence: 9, ..history.journal[1].clone() });
    expect(&history, "doubled");
}

#[test]
fn a_transfer_that_nobody_asked_for_is_found() {
    let mut history = sound();
    history.journal.push(line(77, 9, movement(3, 2, 1)));
    expect(&history, "phantom");
}

#[test]
fn a_record_that_is_left_out_is_found() {
    let mut history = sound();
    history.journal.last_mut().unwrap().sequence = 9;
    expect(&history, "gap");
}

#[test]
fn a_transfer_with_another_amount_or_account_is_found() {
    for other in [movement(1, 3, 21), movement(1, 2, 20)] {
        let mut history = sound();
        history.journal[2].movement = other;
        expect(&history, "against the rules");
    }
}

#[test]
fn a_transfer_that_was_refused_and_recorded_is_found() {
    let mut history = sound();
    history.journal.push(line(9, 9, movement(2, 1, 500)));
    expect(&history, "refused and recorded");
    expect(&history, "against the rules");
}

#[test]
fn a_refusal_without_a_reason_is_found() {
    let mut history = sound();
    history.operations[7].request = Request::Transfers(vec![(id(9), movement(2, 1, 29))]);
    expect(&history, "refusal out of place");
}

#[test]
fn a_refusal_that_tells_another_balance_is_found() {
    let mut history = sound();
    let told = Refusal::InsufficientFunds { account: 2, available: 31, index: None };
    history.operations[7].outcome = Outcome::Refused(told);
    expect(&history, "never stood like that");
}

#[test]
fn an_order_against_real_time_is_found() {
    let mut history = sound();
    // The second transfer had ended before the first one began.
    history.operations[2].begun = 12;
    history.operations[2].ended = 15;
    expect(&history, "reordered");
}

#[test]
fn a_stale_read_is_found() {
    let mut history = sound();
    history.reads.push(read(balance(1, 30, 100), (46, 48)));
    expect(&history, "it is stale");
}

#[test]
fn a_read_of_what_is_not_committed_is_found() {
    let mut history = sound();
    // The refused transfer, seen while it was decided.
    history.reads.push(read(balance(2, 515, 45), (131, 135)));
    expect(&history, "never stood like that");
    // One that was recorded, before it was asked for.
    let mut history = sound();
    history.reads.push(read(balance(1, 30, 100), (12, 15)));
    expect(&history, "ahead of time");
}

#[test]
fn half_a_batch_is_found() {
    let mut history = sound();
    history.reads.push(read(balance(3, 0, 25), (51, 59)));
    history.reads.push(read(Seen::Totals { debits: 155, credits: 155 }, (51, 59)));
    expect(&history, "never stood like that");
    let mut history = sound();
    history.journal.swap(4, 5);
    expect(&history, "torn");
}

#[test]
fn reads_that_go_back_in_time_are_found() {
    let mut history = sound();
    // Both while the transfer goes on, one after the other: it was there, and then it was not.
    history.reads.push(read(balance(2, 0, 30), (26, 28)));
    history.reads.push(read(balance(2, 0, 0), (29, 31)));
    expect(&history, "back in time");
    // The other way round is how it should be.
    let mut history = sound();
    history.reads.push(read(balance(2, 0, 0), (26, 28)));
    history.reads.push(read(balance(2, 0, 30), (29, 31)));
    assert_eq!(check(&history), Vec::<String>::new());
}

#[test]
fn money_that_comes_from_nowhere_is_found() {
    let mut history = sound();
    history.reads.push(read(Seen::Totals { debits: 181, credits: 180 }, (61, 65)));
    expect(&history, "never stood like that");
}

#[test]
fn an_overdraft_is_found() {
    let mut history = sound();
    let too_much = movement(3, 2, 1);
    history.operations.push(transfer(10, too_much, 9, (150, 160)));
    history.journal.push(line(10, 9, too_much));
    expect(&history, "against the rules");
    expect(&history, "do not add up");
}
