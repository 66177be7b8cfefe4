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
    let outcome = Outcome::Recorded(vec![line(number, sequence, one)]);
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
    let recorded = |line: &Line| Outcome::Recorded(vec![line.clone()]);
    let batched = [line(4, 4, batch[0].1), line(5, 5, batch[1].1)];
    let captured = HeldState { sequence: 7, movement: held, captured: 15, is_pending: false };
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
                Outcome::Recorded(batched.to_vec()),
            ),
            operation(
                Request::Reversal { id: id(6), original: id(2), minor_units: Some(10) },
                (70, 80),
                recorded(&reversal),
            ),
            operation(Request::Hold { id: id(7), movement: held }, (90, 100), recorded(&hold)),
            operation(
                Request::Capture { id: id(8), hold: id(7), minor_units: Some(15), is_final: true },
                (110, 120),
                recorded(&capture),
            ),
            operation(refused, (130, 140), Outcome::Refused(refusal)),
        ],
        reads: vec![
            // While the two transfers go on: after the first, and before the second.
            read(balance(1, 30, 100), (30, 34)),
            read(balance(1, 50, 100), (41, 45)),
            read(Seen::Balance { account: 3, minor_units: 0, as_of: 5 }, (61, 62)),
            read(Seen::Totals { debits: 180, credits: 180 }, (61, 65)),
            read(Seen::Hold { id: id(7), state: Some(captured) }, (121, 122)),
            read(Seen::Transaction { id: id(8), line: Some(capture.clone()) }, (121, 125)),
            read(Seen::Transaction { id: id(9), line: None }, (141, 145)),
        ],
        journal: vec![
            line(1, 1, fund),
            line(2, 2, first),
            line(3, 3, second),
            batched[0].clone(),
            batched[1].clone(),
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
    expect(&history, "less than nothing");
}

#[test]
fn an_answer_that_names_another_place_is_found() {
    let mut history = sound();
    let Outcome::Recorded(told) = &mut history.operations[1].outcome else { panic!("recorded") };
    told[0].sequence = 3;
    expect(&history, "moved");
}

#[test]
fn an_answer_that_tells_another_content_is_found() {
    let mut history = sound();
    let Outcome::Recorded(told) = &mut history.operations[1].outcome else { panic!("recorded") };
    told[0].movement = movement(1, 2, 31);
    expect(&history, "told otherwise");
}

#[test]
fn an_answer_about_other_records_is_found() {
    let mut history = sound();
    let others = history.operations[2].outcome.clone();
    history.operations[1].outcome = others;
    expect(&history, "about other records");
    // Half of a batch is another record too.
    let mut history = sound();
    let Outcome::Recorded(told) = &mut history.operations[3].outcome else { panic!("recorded") };
    told.pop();
    expect(&history, "about other records");
}

/// Records one more request at the end.
fn also(history: &mut History, request: Request, line: Line) {
    let outcome = Outcome::Recorded(vec![line.clone()]);
    history.operations.push(operation(request, (150, 160), outcome));
    history.journal.push(line);
}

#[test]
fn a_capture_after_the_final_one_is_found() {
    let mut history = sound();
    let request =
        Request::Capture { id: id(10), hold: id(7), minor_units: Some(1), is_final: false };
    let line = Line { captures: Some(id(7)), ..line(10, 9, movement(1, 2, 1)) };
    also(&mut history, request, line);
    expect(&history, "HoldNotPending");
}

#[test]
fn a_reversal_of_more_than_is_left_is_found() {
    let mut history = sound();
    let request = Request::Reversal { id: id(10), original: id(2), minor_units: Some(21) };
    let line = Line { reverses: Some(id(2)), ..line(10, 9, movement(2, 1, 21)) };
    also(&mut history, request, line);
    expect(&history, "ReversalExceedsOriginal { left: 20 }");
}

#[test]
fn reads_that_differ_in_one_figure_are_found() {
    let times = (161, 165);
    let entry = Entry {
        transaction: id(8),
        sequence: 8,
        is_debit: false,
        minor_units: 15,
        balance_after: 30,
    };
    let state =
        HeldState { sequence: 7, movement: movement(1, 2, 40), captured: 15, is_pending: false };
    let entries = |entry| Seen::Entries { account: 2, newest: vec![entry], goes_on: true };
    let hold = |state| Seen::Hold { id: id(7), state };
    let right = [
        entries(entry),
        hold(Some(state)),
        Seen::Balance { account: 2, minor_units: 30, as_of: 8 },
    ];
    for seen in right {
        let mut history = sound();
        history.reads.push(read(seen, times));
        assert_eq!(check(&history), Vec::<String>::new());
    }
    let wrong = [
        entries(Entry { transaction: id(7), ..entry }),
        entries(Entry { sequence: 7, ..entry }),
        entries(Entry { is_debit: true, ..entry }),
        entries(Entry { minor_units: 16, ..entry }),
        entries(Entry { balance_after: 31, ..entry }),
        Seen::Entries { account: 2, newest: vec![entry], goes_on: false },
        Seen::Entries { account: 2, newest: Vec::new(), goes_on: false },
        hold(None),
        hold(Some(HeldState { sequence: 8, ..state })),
        hold(Some(HeldState { movement: movement(1, 2, 41), ..state })),
        hold(Some(HeldState { captured: 16, ..state })),
        hold(Some(HeldState { is_pending: true, ..state })),
        Seen::Balance { account: 2, minor_units: 31, as_of: 8 },
        Seen::Balance { account: 2, minor_units: 30, as_of: 7 },
    ];
    for seen in wrong {
        let mut history = sound();
        history.reads.push(read(seen, times));
        expect(&history, "read out of place");
    }
}

#[test]
fn a_refusal_is_of_the_attempt_that_was_answered_with_it() {
    // Of three attempts the first began when account 2 had nothing to give; the last one found 30 there.
    let request = Request::Transfers(vec![(id(10), movement(2, 1, 28))]);
    let told = Refusal::InsufficientFunds { account: 2, available: 0, index: None };
    let refused =
        Operation { last_begun: 12, ..operation(request, (5, 19), Outcome::Refused(told)) };
    let mut history = sound();
    history.operations.push(refused.clone());
    assert_eq!(check(&history), Vec::<String>::new());
    let mut history = sound();
    history.operations.push(Operation { last_begun: 141, ended: 150, ..refused });
    expect(&history, "refusal out of place: it is stale");
}

#[test]
fn what_follows_a_phantom_is_not_blamed_for_it() {
    let mut history = sound();
    history.journal.push(line(77, 9, movement(2, 3, 1)));
    // The books as they are with it.
    history.operations.push(transfer(10, movement(2, 1, 1), 10, (150, 160)));
    history.journal.push(line(10, 10, movement(2, 1, 1)));
    let violations = check(&history);
    assert!(violations.iter().all(|one| one.contains("phantom")), "{violations:#?}");
}

#[test]
fn many_reads_out_of_place_are_counted() {
    let mut history = sound();
    for time in 0..100 {
        history.reads.push(read(balance(1, 77, 100), (200 + time, 201 + time)));
    }
    let violations = check(&history);
    assert_eq!(violations.len(), 21, "{violations:#?}");
    expect(&history, "80 more reads and refusals are out of place");
}
