//! Every hold is what its making, its captures and its end say.

use super::Finding;
use super::repo::CaptureRow;
use crate::journal::chunk::{HoldEndRow, HoldLegRow, StoredHold};
use crate::journal::encode::HoldRow;
use kernel::Currency;
use ledger_api::{Balances, Hold};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A hold while what happens to it is folded.
struct Folded {
    stored: HoldRow,
    legs: Vec<(i64, i64)>,
    captured: i64,
}

/// The holds that are pending where the fold stands. One that has ended is checked and forgotten.
#[derive(Default)]
pub(super) struct Holds {
    pending: HashMap<i64, Folded>,
    /// The first record that the rows of its accounts may not have yet.
    behind_from: Option<i64>,
    /// The accounts of all holds that such records make, capture or end.
    behind: HashSet<i64>,
}

/// What the holds say of their accounts.
pub(super) struct Held {
    /// What is still set aside, per account.
    pub(super) pending: HashMap<i64, Balances>,
    /// The accounts whose rows may not have it yet.
    pub(super) behind: HashSet<i64>,
    pub(super) findings: Vec<Finding>,
}

/// A hold where the fold stands.
pub(super) struct Pending<'a> {
    /// Without its legs, and as it is stored now.
    pub(super) hold: Hold,
    /// By account and amount, debits above zero.
    pub(super) legs: &'a [(i64, i64)],
    /// How much of it was captured.
    pub(super) captured: i64,
}

impl Pending<'_> {
    /// In minor units of the first leg.
    pub(super) fn amount(&self) -> i64 {
        self.legs.first().map_or(0, |leg| leg.1.saturating_abs())
    }
}

impl Holds {
    pub(super) fn behind_from(behind_from: Option<i64>) -> Self {
        Self { behind_from, ..Self::default() }
    }

    pub(super) fn add(
        &mut self,
        holds: &[StoredHold],
        legs: &[HoldLegRow],
        currency_of: impl Fn(i64) -> Option<Currency>,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        for StoredHold { hold: stored, state_expires_at } in holds {
            let sequence = stored.sequence;
            let first = legs.partition_point(|leg| leg.hold_sequence < sequence);
            let own = legs[first..].iter().take_while(|leg| leg.hold_sequence == sequence);
            let own: Vec<_> = own.map(|leg| (leg.account_sequence, leg.amount)).collect();
            if own.len() < 2 {
                findings.push(finding(sequence, "a hold of fewer than two legs"));
            }
            if stored.expires_at != *state_expires_at {
                findings.push(finding(sequence, "the hold and its state expire at two instants"));
            }
            let mut sums: BTreeMap<Option<Currency>, i128> = BTreeMap::new();
            for (account, amount) in &own {
                let sum = sums.entry(currency_of(*account)).or_default();
                *sum = sum.saturating_add(i128::from(*amount));
            }
            if sums.contains_key(&None) {
                findings
                    .push(finding(sequence, "a hold on an account that is not opened before it"));
            }
            if sums.values().any(|sum| *sum != 0) {
                findings.push(finding(sequence, "debits and credits of the hold differ"));
            }
            if self.behind_from.is_some_and(|from| sequence >= from) {
                self.behind.extend(own.iter().map(|(account, _)| *account));
            }
            let folded = Folded { stored: stored.clone(), legs: own, captured: 0 };
            self.pending.insert(sequence, folded);
        }
        findings
    }

    pub(super) fn pending(&self, sequence: i64) -> Option<Pending<'_>> {
        let Folded { stored, legs, captured } = self.pending.get(&sequence)?;
        let hold = stored.clone().into_hold(Vec::new()).ok()?;
        Some(Pending { hold, legs, captured: *captured })
    }

    /// Captures and ends of a range of the journal.
    pub(super) fn change(&mut self, captures: &[CaptureRow], ends: &[HoldEndRow]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let captured = captures.iter().map(|row| (row.sequence, Event::Capture(row)));
        let ended = ends.iter().map(|row| (row.sequence, Event::End(row)));
        let mut events: Vec<_> = captured.chain(ended).collect();
        events.sort_by_key(|(sequence, _)| *sequence);
        for (sequence, event) in events {
            let hold_sequence = match &event {
                Event::Capture(row) => row.hold_sequence,
                Event::End(row) => Some(row.hold_sequence),
            };
            let Some(hold) = hold_sequence.and_then(|hold| self.pending.get_mut(&hold)) else {
                findings.push(finding(sequence, "captures or ends a hold that is not pending"));
                continue;
            };
            if self.behind_from.is_some_and(|from| sequence >= from) {
                self.behind.extend(hold.legs.iter().map(|(account, _)| *account));
            }
            let status = match event {
                Event::Capture(row) => {
                    if let Some(what) = hold.captured_by(row) {
                        findings.push(finding(sequence, what));
                    }
                    // The last capture is the one that the hold says ended it.
                    (hold.stored.ended_by == Some(sequence)).then(|| "captured".to_owned())
                }
                Event::End(row) => Some(row.status.clone()),
            };
            if let Some(status) = status {
                findings.extend(hold.stands(&status, Some(sequence)));
                hold_sequence.map(|hold| self.pending.remove(&hold));
            }
        }
        findings
    }

    pub(super) fn end(self) -> Held {
        let mut pending: HashMap<i64, Balances> = HashMap::new();
        let mut findings = Vec::new();
        for hold in self.pending.values() {
            findings.extend(hold.stands("pending", None));
            for (account, amount) in &hold.legs {
                let remaining = match hold.captured {
                    0 => amount.saturating_abs(),
                    captured => amount.saturating_abs().saturating_sub(captured),
                };
                let balances = pending.entry(*account).or_default();
                let counter = match *amount > 0 {
                    true => &mut balances.pending_debits,
                    false => &mut balances.pending_credits,
                };
                *counter = counter.saturating_add(remaining);
            }
        }
        Held { pending, behind: self.behind, findings }
    }
}

enum Event<'a> {
    Capture(&'a CaptureRow),
    End(&'a HoldEndRow),
}

impl Folded {
    /// What is wrong with a capture, if anything.
    fn captured_by(&mut self, row: &CaptureRow) -> Option<&'static str> {
        let amount = self.legs.first().map_or(0, |leg| leg.1.saturating_abs());
        self.captured =
            self.captured.saturating_add(row.amount.unwrap_or_default().saturating_abs());
        let legs = i64::try_from(self.legs.len()).unwrap_or(i64::MAX);
        if row.legs != legs || row.same_legs != legs {
            return Some("its legs are not those of the hold that it captures");
        }
        if self.captured > amount.saturating_add(self.stored.tolerance) {
            return Some("more was captured than was held");
        }
        (self.captured >= amount && self.stored.ended_by != Some(row.sequence))
            .then_some("nothing is left of the hold, which goes on")
    }

    fn stands(&self, status: &str, ended_by: Option<i64>) -> Option<Finding> {
        let stored = (self.stored.status.as_str(), self.stored.captured, self.stored.ended_by);
        let derived = (status, self.captured, ended_by);
        (stored != derived).then(|| Finding {
            sequence: self.stored.sequence,
            what: format!("the hold stands at {stored:?}, its records say {derived:?}"),
        })
    }
}

fn finding(sequence: i64, what: &str) -> Finding {
    Finding { sequence, what: what.to_owned() }
}
