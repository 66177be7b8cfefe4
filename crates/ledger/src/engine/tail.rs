//! The newest transactions, kept for a moment for those who follow the journal: what was just written need
//! not be read again to be told.

use ledger_api::Transaction;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The most transactions that are kept: some megabytes, and more than is written while a follower
/// is at work.
const TRANSACTIONS_MAX: usize = 16_384;

/// A run of transactions without gaps, the newest that this engine has written.
#[derive(Debug)]
pub(crate) struct Tail {
    run: Mutex<VecDeque<Arc<Transaction>>>,
    last_sequence: watch::Sender<i64>,
}

impl Tail {
    pub(super) fn new() -> Self {
        Self { run: Mutex::default(), last_sequence: watch::Sender::new(0) }
    }

    /// What a group has written, once it is durable, up to `last_sequence`.
    pub(super) fn push(&self, transactions: Vec<Arc<Transaction>>, last_sequence: i64) {
        {
            let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
            for transaction in transactions {
                let next = run.back().map(|last| last.sequence.saturating_add(1));
                if next != Some(transaction.sequence) {
                    // Something else came between; it is read from the journal.
                    run.clear();
                }
                if run.len() == TRANSACTIONS_MAX {
                    run.pop_front();
                }
                run.push_back(transaction);
            }
        }
        self.last_sequence.send_replace(last_sequence);
    }

    /// Up to `limit` transactions from just after `position`; `None` if what comes next is not among those
    /// that are kept.
    pub(crate) fn after(&self, position: i64, limit: usize) -> Option<Vec<Arc<Transaction>>> {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let first = run.front()?.sequence;
        let skipped = usize::try_from(position.checked_add(1)?.checked_sub(first)?).ok()?;
        let next: Vec<_> = run.iter().skip(skipped).take(limit).cloned().collect();
        (!next.is_empty()).then_some(next)
    }

    /// The journal's last number, as far as this engine has written.
    pub(crate) fn progress(&self) -> watch::Receiver<i64> {
        self.last_sequence.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Timestamp;
    use ledger_api::TransactionId;

    fn transaction(sequence: i64) -> Arc<Transaction> {
        Arc::new(Transaction {
            id: TransactionId(uuid::Uuid::nil()),
            sequence,
            kind: String::new(),
            description: None,
            reference: None,
            effective_at: Timestamp::EPOCH,
            recorded_at: Timestamp::EPOCH,
            metadata: std::collections::BTreeMap::new(),
            legs: Vec::new(),
            reverses: None,
            captures: None,
        })
    }

    fn sequences(tail: &Tail, position: i64, limit: usize) -> Option<Vec<i64>> {
        let found = tail.after(position, limit)?;
        Some(found.iter().map(|transaction| transaction.sequence).collect())
    }

    #[test]
    fn it_answers_only_without_a_gap() {
        let tail = Tail::new();
        assert_eq!(sequences(&tail, 0, 10), None);
        tail.push(vec![transaction(5), transaction(6)], 6);
        tail.push(vec![transaction(7)], 7);
        assert_eq!(sequences(&tail, 4, 10), Some(vec![5, 6, 7]));
        assert_eq!(sequences(&tail, 5, 1), Some(vec![6]));
        assert_eq!(sequences(&tail, 3, 10), None);
        assert_eq!(sequences(&tail, 7, 10), None);
        // Number 8 was an account.
        tail.push(vec![transaction(9)], 9);
        assert_eq!(sequences(&tail, 7, 10), None);
        assert_eq!(sequences(&tail, 8, 10), Some(vec![9]));
    }

    #[test]
    fn it_keeps_the_newest() {
        let tail = Tail::new();
        let all = i64::try_from(TRANSACTIONS_MAX).unwrap() + 10;
        tail.push((1..=all).map(transaction).collect(), all);
        assert_eq!(sequences(&tail, 9, 1), None);
        assert_eq!(sequences(&tail, 10, 1), Some(vec![11]));
    }
}
