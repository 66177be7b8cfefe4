//! The newest transactions and holds, kept for a moment for those who follow the journal: what was just
//! written need not be read again to be told.

use super::decide::WorkingSet;
use ledger_api::{Hold, Transaction};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The most records that are kept, and the most legs of them: some megabytes, and more than is written while a
/// follower is at work.
const RECORDS_MAX: usize = 16_384;
const LEGS_MAX: usize = 65_536;

/// A record of the journal, of the kinds that come in crowds.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Posted(Arc<Transaction>),
    /// As it was made.
    Held(Arc<Hold>),
}

/// A run of records without gaps, the newest that this engine has written.
#[derive(Debug)]
pub(crate) struct Tail {
    run: Mutex<Run>,
    last_sequence: watch::Sender<i64>,
}

#[derive(Debug, Default)]
struct Run {
    records: VecDeque<Told>,
    /// How many legs they have together.
    legs: usize,
}

impl Run {
    fn push(&mut self, record: Told) {
        let next = self.records.back().map(|last| last.sequence().saturating_add(1));
        if next != Some(record.sequence()) {
            // Something else came between; it is read from the journal.
            *self = Self::default();
        }
        self.legs = self.legs.saturating_add(record.legs());
        self.records.push_back(record);
        while self.records.len() > RECORDS_MAX || self.legs > LEGS_MAX {
            let Some(oldest) = self.records.pop_front() else { return };
            self.legs = self.legs.saturating_sub(oldest.legs());
        }
    }
}

impl Tail {
    pub(super) fn new() -> Self {
        Self { run: Mutex::default(), last_sequence: watch::Sender::new(0) }
    }

    /// What a group has written, once it is durable.
    pub(super) fn push(&self, set: &mut WorkingSet) {
        let mut told: Vec<Told> =
            set.holds_to_add().map(|hold| Told::Held(Arc::new(hold.clone().as_made()))).collect();
        told.extend(std::mem::take(&mut set.new_transactions).into_iter().map(Told::Posted));
        told.sort_by_key(Told::sequence);
        self.extend(told);
        self.last_sequence.send_replace(set.head.last_sequence);
    }

    fn extend(&self, told: Vec<Told>) {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        told.into_iter().for_each(|record| run.push(record));
    }

    /// Up to `limit` records from just after `position`, and no more than have `legs` legs unless a single one
    /// has; `None` if what comes next is not among those that are kept.
    pub(crate) fn after(&self, position: i64, limit: usize, mut legs: usize) -> Option<Vec<Told>> {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let first = run.records.front()?.sequence();
        let skipped = usize::try_from(position.checked_add(1)?.checked_sub(first)?).ok()?;
        let mut next: Vec<Told> = Vec::new();
        for record in run.records.iter().skip(skipped).take(limit) {
            match legs.checked_sub(record.legs()) {
                Some(left) => legs = left,
                None if next.is_empty() => legs = 0,
                None => break,
            }
            next.push(record.clone());
        }
        (!next.is_empty()).then_some(next)
    }

    /// The journal's last number, as far as this engine has written.
    pub(crate) fn progress(&self) -> watch::Receiver<i64> {
        self.last_sequence.subscribe()
    }
}

impl Told {
    fn sequence(&self) -> i64 {
        match self {
            Self::Posted(transaction) => transaction.sequence,
            Self::Held(hold) => hold.sequence,
        }
    }

    fn legs(&self) -> usize {
        match self {
            Self::Posted(transaction) => transaction.legs.len(),
            Self::Held(hold) => hold.legs.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Money, Timestamp};
    use ledger_api::{AccountId, Leg, Side, TransactionId};

    fn transaction(sequence: i64) -> Told {
        with_legs(sequence, 0)
    }

    fn with_legs(sequence: i64, legs: usize) -> Told {
        let leg = Leg {
            account_id: AccountId(uuid::Uuid::nil()),
            direction: Side::Debit,
            amount: Money::new(1, "MAD".parse().unwrap()),
        };
        Told::Posted(Arc::new(Transaction {
            id: TransactionId(uuid::Uuid::nil()),
            sequence,
            kind: String::new(),
            description: None,
            reference: None,
            effective_at: Timestamp::EPOCH,
            recorded_at: Timestamp::EPOCH,
            metadata: std::collections::BTreeMap::new(),
            legs: vec![leg; legs],
            reverses: None,
            captures: None,
            initiated_by: None,
        }))
    }

    fn sequences(tail: &Tail, position: i64, limit: usize) -> Option<Vec<i64>> {
        let found = tail.after(position, limit, 10)?;
        Some(found.iter().map(Told::sequence).collect())
    }

    #[test]
    fn it_answers_only_without_a_gap() {
        let tail = Tail::new();
        assert_eq!(sequences(&tail, 0, 10), None);
        tail.extend(vec![transaction(5), transaction(6)]);
        tail.extend(vec![transaction(7)]);
        assert_eq!(sequences(&tail, 4, 10), Some(vec![5, 6, 7]));
        assert_eq!(sequences(&tail, 5, 1), Some(vec![6]));
        assert_eq!(sequences(&tail, 3, 10), None);
        assert_eq!(sequences(&tail, 7, 10), None);
        // Number 8 was an account.
        tail.extend(vec![transaction(9)]);
        assert_eq!(sequences(&tail, 7, 10), None);
        assert_eq!(sequences(&tail, 8, 10), Some(vec![9]));
    }

    #[test]
    fn it_keeps_the_newest() {
        let tail = Tail::new();
        let all = i64::try_from(RECORDS_MAX).unwrap() + 10;
        tail.extend((1..=all).map(transaction).collect());
        assert_eq!(sequences(&tail, 9, 1), None);
        assert_eq!(sequences(&tail, 10, 1), Some(vec![11]));
    }

    #[test]
    fn it_gives_and_keeps_no_more_legs_than_it_may() {
        let tail = Tail::new();
        tail.extend(vec![with_legs(1, 6), with_legs(2, 4), with_legs(3, 1), with_legs(4, 1_000)]);
        assert_eq!(sequences(&tail, 0, 10), Some(vec![1, 2]));
        assert_eq!(sequences(&tail, 2, 10), Some(vec![3]));
        assert_eq!(sequences(&tail, 3, 10), Some(vec![4]));
        tail.extend((5..=70).map(|sequence| with_legs(sequence, 1_000)).collect());
        assert_eq!(sequences(&tail, 4, 10), None);
        assert_eq!(sequences(&tail, 5, 10), Some(vec![6]));
    }
}
