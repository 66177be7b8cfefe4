//! How much of each limit is used: what the records since it was set say.

use super::ahead::Stretch;
use super::holds::Holds;
use super::{Finding, Folded, repo};
use crate::engine::{Counted, IdMap, LimitedAccount, Movement, last_of_each_account};
use crate::journal::chunk::EntryRow;
use crate::journal::limits::{counter_text, limits_from};
use crate::journal::scan::Scan;
use kernel::Timestamp;
use ledger_api::{AccountId, EntryKey, Side};
use std::collections::{BTreeMap, HashMap};
use store::StoreError;

/// When the period began, minor units, uses, and from where they count.
type Used = (i64, i64, i64, i64);

/// The accounts that ever had limits, while the journal is read.
#[derive(Default)]
pub(super) struct Usages {
    limited: HashMap<AccountId, (i64, LimitedAccount)>,
}

/// A record that may use limits, or changes them.
enum Event<'a> {
    Limits { account: i64, limits: &'a str },
    Posting { kind: &'a str, legs: &'a [EntryRow] },
    Hold(i64),
    Capture { hold: i64, legs: &'a [EntryRow] },
    Release(i64),
}

impl Usages {
    /// Goes through the records of a stretch in order. The holds are those that are pending before its
    /// captures and releases, its own among them.
    pub(super) fn add(&mut self, stretch: &Stretch, holds: &Holds, accounts: &IdMap<i64, Folded>) {
        let chunk = &stretch.chunk;
        if self.limited.is_empty() && chunk.limit_changes.is_empty() {
            return;
        }
        // What the captures of this stretch have taken so far of each hold.
        let mut captured = HashMap::new();
        for (sequence, (at, event)) in events(stretch) {
            let now = Timestamp::from_micros(at);
            match event {
                Event::Limits { account, limits } => {
                    let Some(folded) = accounts.get(&account) else { continue };
                    // What cannot be read is told of with the record.
                    let Ok(limits) = limits_from(limits, account) else { continue };
                    let before = self.limited.get(&folded.id).map(|(_, limited)| limited);
                    let changed = LimitedAccount::changed(before, &limits, now, sequence);
                    self.limited.insert(folded.id, (account, changed));
                }
                Event::Posting { kind, legs } => {
                    let movements = movements(legs.iter().map(amount_of), accounts, posted);
                    self.count(&movements, Counted::Anew(kind), now, accounts);
                }
                Event::Hold(number) => {
                    let Some(made) = holds.pending(number) else { continue };
                    let movements = movements(made.legs.iter().copied(), accounts, |all| (0, all));
                    self.count(&movements, Counted::Anew(&made.hold.kind), now, accounts);
                }
                Event::Capture { hold: number, legs } => {
                    let Some(held) = holds.pending(number) else { continue };
                    let taken = legs.first().map_or(0, |leg| leg.amount.saturating_abs());
                    let so_far = captured.entry(number).or_insert(held.captured);
                    let remaining = held.amount().saturating_sub(*so_far).max(0);
                    *so_far = so_far.saturating_add(taken);
                    let is_last = held.hold.ended_by == Some(sequence);
                    let released = if is_last { remaining } else { taken };
                    let mut movements = movements(legs.iter().map(amount_of), accounts, posted);
                    for (movement, (_, whole)) in movements.iter_mut().zip(held.legs) {
                        let is_whole = released == held.amount();
                        let part = if is_whole { whole.saturating_abs() } else { released };
                        movement.pending = 0_i64.saturating_sub(part);
                    }
                    let since = Counted::SinceHold { hold: &held.hold, is_unused: false };
                    self.count(&movements, since, now, accounts);
                }
                Event::Release(number) => {
                    let Some(held) = holds.pending(number) else { continue };
                    let so_far = captured.get(&number).copied().unwrap_or(held.captured);
                    let remaining = held.amount().saturating_sub(so_far).max(0);
                    let is_unused = so_far == 0;
                    let movements = movements(held.legs.iter().copied(), accounts, |whole| {
                        (0, 0_i64.saturating_sub(if is_unused { whole } else { remaining }))
                    });
                    let since = Counted::SinceHold { hold: &held.hold, is_unused };
                    self.count(&movements, since, now, accounts);
                }
            }
        }
    }

    fn count(
        &mut self,
        movements: &[Movement],
        counted: Counted<'_>,
        now: Timestamp,
        accounts: &IdMap<i64, Folded>,
    ) {
        for (account, _) in last_of_each_account(movements) {
            let Some((number, limited)) = self.limited.get_mut(&account) else { continue };
            let Some(folded) = accounts.get(number) else { continue };
            if let Some((used, since)) = counted.of(account, folded.normal_side, movements) {
                limited.count(used, since, now);
            }
        }
    }

    /// What is stored otherwise.
    pub(super) async fn compare(self, scan: &mut Scan) -> Result<Vec<Finding>, StoreError> {
        let mut derived: BTreeMap<(i64, String), Used> = BTreeMap::new();
        for (account, limited) in self.limited.into_values() {
            for usage in &limited.usages {
                let began = usage.period_start.as_micros();
                let used = (began, usage.minor_units, usage.uses, usage.counts_from);
                derived.insert((account, counter_text(usage)), used);
            }
        }
        let mut findings = Vec::new();
        let mut find = |account, counter: &str, stored: Option<Used>, derived: Option<Used>| {
            let what = format!("of {counter} {stored:?} is used, by its records {derived:?}");
            findings.push(Finding { sequence: account, what });
        };
        repo::each_usage(scan, |(account, counter, began, minor_units, uses, counts_from)| {
            let stored = (began, minor_units, uses, counts_from);
            let expected = derived.remove(&(account, counter.clone()));
            if expected != Some(stored) {
                find(account, &counter, Some(stored), expected);
            }
        })
        .await?;
        for ((account, counter), missing) in derived {
            find(account, &counter, None, Some(missing));
        }
        Ok(findings)
    }
}

/// By number and time, in order. Reversals use nothing.
fn events(stretch: &Stretch) -> BTreeMap<i64, (i64, Event<'_>)> {
    let chunk = &stretch.chunk;
    let mut events = BTreeMap::new();
    for row in &chunk.limit_changes {
        let event = Event::Limits { account: row.account_sequence, limits: &row.limits };
        events.insert(row.sequence, (row.changed_at, event));
    }
    for row in &chunk.holds {
        events.insert(row.hold.sequence, (row.hold.created_at, Event::Hold(row.hold.sequence)));
    }
    for row in &chunk.hold_ends {
        events.insert(row.sequence, (row.changed_at, Event::Release(row.hold_sequence)));
    }
    let mut captures = stretch.captures.iter().peekable();
    let number = |entry: &EntryRow| EntryKey(entry.entry_key).parts().0;
    for row in chunk.transactions.iter().filter(|row| !row.is_reversal()) {
        let first = chunk.entries.partition_point(|entry| number(entry) < row.sequence);
        let end = chunk.entries.partition_point(|entry| number(entry) <= row.sequence);
        let legs = &chunk.entries[first..end];
        let event = match captures.next_if(|capture| capture.sequence == row.sequence) {
            Some(capture) => {
                // One of no hold is told of with the holds.
                let Some(hold) = capture.hold_sequence else { continue };
                Event::Capture { hold, legs }
            }
            None => Event::Posting { kind: &row.kind, legs },
        };
        events.insert(row.sequence, (row.recorded_at, event));
    }
    events
}

fn amount_of(leg: &EntryRow) -> (i64, i64) {
    (leg.account_sequence, leg.amount)
}

fn posted(all: i64) -> (i64, i64) {
    (all, 0)
}

/// What legs, debits above zero, do to their accounts: posted and pending, by the amount.
fn movements(
    legs: impl Iterator<Item = (i64, i64)>,
    accounts: &IdMap<i64, Folded>,
    parts: impl Fn(i64) -> (i64, i64),
) -> Vec<Movement> {
    legs.filter_map(|(account, amount)| {
        let account = accounts.get(&account)?.id;
        let direction = if amount > 0 { Side::Debit } else { Side::Credit };
        let (posted, pending) = parts(amount.saturating_abs());
        Some(Movement { account, direction, posted, pending })
    })
    .collect()
}
