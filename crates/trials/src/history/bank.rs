//! The bank as it ought to be: a few lines that decide what each request does to the books.

use super::{Account, Counters, Entry, Line, Movement, Refusal, Request, TREASURY};
use std::collections::HashMap;
use uuid::Uuid;

/// How many of an account's newest entries are remembered for comparison.
pub(crate) const ENTRIES_KEPT: usize = 8;

/// A hold as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldState {
    pub(crate) sequence: i64,
    pub(crate) movement: Movement,
    pub(crate) captured: i64,
    pub(crate) is_pending: bool,
}

#[derive(Clone, Debug, Default)]
struct AccountState {
    counters: Counters,
    /// The newest last.
    newest: Vec<Entry>,
    entries: usize,
}

/// The books after some prefix of the journal.
#[derive(Clone, Debug)]
pub(crate) struct Bank {
    pub(crate) sequence: i64,
    accounts: Vec<AccountState>,
    transactions: HashMap<Uuid, Line>,
    reversed: HashMap<Uuid, i64>,
    holds: HashMap<Uuid, HeldState>,
    /// Of all accounts; both sides of every transaction count.
    debits: i64,
    credits: i64,
}

impl Bank {
    pub(crate) fn new(accounts: usize, base_sequence: i64) -> Self {
        Self {
            sequence: base_sequence,
            accounts: vec![AccountState::default(); accounts],
            transactions: HashMap::new(),
            reversed: HashMap::new(),
            holds: HashMap::new(),
            debits: 0,
            credits: 0,
        }
    }

    pub(crate) fn counters(&self, account: Account) -> Counters {
        self.accounts.get(account).map(|one| one.counters).unwrap_or_default()
    }

    /// Posted, positive on the account's normal side.
    pub(crate) fn balance(&self, account: Account) -> i64 {
        let Counters { posted_debits, posted_credits, .. } = self.counters(account);
        let balance = posted_credits.saturating_sub(posted_debits);
        if account == TREASURY { 0_i64.saturating_sub(balance) } else { balance }
    }

    fn available(&self, account: Account) -> i64 {
        self.balance(account).saturating_sub(self.counters(account).pending_debits)
    }

    /// The newest entries, the newest first, and how many there are.
    pub(crate) fn newest(&self, account: Account) -> (Vec<Entry>, usize) {
        let Some(state) = self.accounts.get(account) else { return (Vec::new(), 0) };
        (state.newest.iter().rev().copied().collect(), state.entries)
    }

    pub(crate) fn transaction(&self, id: Uuid) -> Option<&Line> {
        self.transactions.get(&id)
    }

    pub(crate) fn hold(&self, id: Uuid) -> Option<HeldState> {
        self.holds.get(&id).copied()
    }

    pub(crate) fn totals(&self) -> (i64, i64) {
        (self.debits, self.credits)
    }

    /// Whether no account has less than nothing, the treasury apart.
    pub(crate) fn is_covered(&self) -> bool {
        (1..self.accounts.len()).all(|account| self.available(account) >= 0)
    }

    /// What the request would record now, or why it would be refused. Nothing is changed. `None` where it
    /// names what is not there: no client of the trial does that.
    pub(crate) fn decide(&self, request: &Request) -> Option<Result<Vec<Line>, Refusal>> {
        match request {
            Request::Transfers(all) => {
                let several = all.len() > 1;
                // Only what the batch itself has moved before counts beside the books.
                let mut moved: HashMap<Account, i64> = HashMap::new();
                for (index, (_, one)) in all.iter().enumerate() {
                    let before = moved.get(&one.from).copied().unwrap_or(0);
                    let available = self.available(one.from).saturating_add(before);
                    if one.from != TREASURY && available < one.minor_units {
                        return Some(Err(Refusal::InsufficientFunds {
                            account: one.from,
                            available: available.max(0),
                            index: several.then_some(index),
                        }));
                    }
                    let mut shift = |account: Account, by: i64| {
                        let sum = moved.entry(account).or_default();
                        *sum = sum.saturating_add(by);
                    };
                    shift(one.from, 0_i64.saturating_sub(one.minor_units));
                    shift(one.to, one.minor_units);
                }
                let line = |(at, (id, movement)): (i64, &(Uuid, Movement))| Line {
                    id: *id,
                    sequence: self.sequence.saturating_add(at),
                    is_hold: false,
                    movement: *movement,
                    reverses: None,
                    captures: None,
                };
                Some(Ok((1..).zip(all).map(line).collect()))
            }
            Request::Reversal { id, original, minor_units } => {
                let first = self.transactions.get(original)?.movement;
                let before = self.reversed.get(original).copied().unwrap_or(0);
                let left = first.minor_units.saturating_sub(before);
                let taken = minor_units.unwrap_or(left);
                if taken > left || left <= 0 {
                    return Some(Err(Refusal::ReversalExceedsOriginal { left }));
                }
                let movement = Movement { from: first.to, to: first.from, minor_units: taken };
                let line = self.next(*id, movement);
                Some(self.funded(movement, Line { reverses: Some(*original), ..line }))
            }
            Request::Hold { id, movement } => {
                let line = self.next(*id, *movement);
                Some(self.funded(*movement, Line { is_hold: true, ..line }))
            }
            Request::Capture { id, hold, minor_units, .. } => {
                let held = self.holds.get(hold)?;
                if !held.is_pending {
                    return Some(Err(Refusal::HoldNotPending));
                }
                let left = held.movement.minor_units.saturating_sub(held.captured);
                let taken = minor_units.unwrap_or(left);
                if taken > left {
                    return Some(Err(Refusal::CaptureExceedsHold { left }));
                }
                let movement = Movement { minor_units: taken, ..held.movement };
                Some(Ok(vec![Line { captures: Some(*hold), ..self.next(*id, movement) }]))
            }
        }
    }

    /// Takes over what was recorded, for a request unless nobody asked for it.
    pub(crate) fn apply(&mut self, request: Option<&Request>, lines: &[Line]) {
        for line in lines {
            self.sequence = line.sequence;
            let movement = line.movement;
            if line.is_hold {
                self.shift_pending(movement, movement.minor_units);
                let sequence = line.sequence;
                let held = HeldState { sequence, movement, captured: 0, is_pending: true };
                self.holds.insert(line.id, held);
                continue;
            }
            if let Some(original) = line.reverses {
                let sum = self.reversed.entry(original).or_default();
                *sum = sum.saturating_add(movement.minor_units);
            }
            if let Some(hold) = line.captures {
                let is_final = matches!(request, Some(Request::Capture { is_final: true, .. }));
                self.capture(hold, movement.minor_units, is_final);
            }
            self.post(line);
        }
    }

    fn capture(&mut self, id: Uuid, taken: i64, is_final: bool) {
        let Some(held) = self.holds.get_mut(&id) else { return };
        let left = held.movement.minor_units.saturating_sub(held.captured);
        held.captured = held.captured.saturating_add(taken);
        held.is_pending = !(is_final || taken >= left);
        let released = if held.is_pending { taken } else { left };
        let movement = held.movement;
        self.shift_pending(movement, 0_i64.saturating_sub(released));
    }

    fn shift_pending(&mut self, movement: Movement, by: i64) {
        if let Some(from) = self.accounts.get_mut(movement.from) {
            from.counters.pending_debits = from.counters.pending_debits.saturating_add(by);
        }
        if let Some(to) = self.accounts.get_mut(movement.to) {
            to.counters.pending_credits = to.counters.pending_credits.saturating_add(by);
        }
    }

    fn post(&mut self, line: &Line) {
        let Movement { from, to, minor_units } = line.movement;
        if let Some(one) = self.accounts.get_mut(from) {
            one.counters.posted_debits = one.counters.posted_debits.saturating_add(minor_units);
        }
        if let Some(one) = self.accounts.get_mut(to) {
            one.counters.posted_credits = one.counters.posted_credits.saturating_add(minor_units);
        }
        self.debits = self.debits.saturating_add(minor_units);
        self.credits = self.credits.saturating_add(minor_units);
        for account in [from, to] {
            let balance_after = self.balance(account);
            let Some(state) = self.accounts.get_mut(account) else { continue };
            let entry = Entry {
                transaction: line.id,
                sequence: line.sequence,
                is_debit: account == from,
                minor_units,
                balance_after,
            };
            state.newest.push(entry);
            if state.newest.len() > ENTRIES_KEPT {
                state.newest.remove(0);
            }
            state.entries = state.entries.saturating_add(1);
        }
        self.transactions.insert(line.id, line.clone());
    }

    fn next(&self, id: Uuid, movement: Movement) -> Line {
        let sequence = self.sequence.saturating_add(1);
        Line { id, sequence, is_hold: false, movement, reverses: None, captures: None }
    }

    fn funded(&self, movement: Movement, line: Line) -> Result<Vec<Line>, Refusal> {
        let (account, available) = (movement.from, self.available(movement.from));
        if account != TREASURY && available < movement.minor_units {
            let available = available.max(0);
            return Err(Refusal::InsufficientFunds { account, available, index: None });
        }
        Ok(vec![line])
    }
}
