//! Accounts whose rows are written later than their entries, once for many groups (ADR 15).

use crate::engine::IdMap;
use crate::engine::cache::ACCOUNTS_MAX;
use ledger_api::AccountId;
use std::collections::VecDeque;

/// The most accounts whose rows are behind. They are all kept in memory, beside as many others.
const ACCOUNTS_BEHIND_MAX: usize = ACCOUNTS_MAX / 2;

/// The most records that a row may be behind: what a process that starts after a crash has to add up.
const RECORDS_BEHIND_MAX: i64 = 262_144;

/// Which rows are behind, and since which record.
#[derive(Debug, Default)]
pub(super) struct Behind {
    since: IdMap<AccountId, i64>,
    /// The longest behind first. One that was written meanwhile is left in it.
    queue: VecDeque<(i64, AccountId)>,
}

impl Behind {
    pub(super) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }

    pub(super) fn contains(&self, account: AccountId) -> bool {
        self.since.contains_key(&account)
    }

    /// A record with this number moved the account and not its row.
    pub(super) fn add(&mut self, account: AccountId, sequence: i64) {
        self.since.entry(account).or_insert_with(|| {
            self.queue.push_back((sequence, account));
            sequence
        });
    }

    /// The account's row is about to be written.
    pub(super) fn remove(&mut self, account: AccountId) {
        self.since.remove(&account);
    }

    /// Takes those that have been behind for too long, or are too many, now that the journal ends at this
    /// number; and some `more` besides. Those that are behind since the same record are taken together: so
    /// whenever rows were written, [`Self::states_through`] has moved.
    pub(super) fn take_due(&mut self, last_sequence: i64, more: usize) -> Vec<AccountId> {
        let oldest = last_sequence.saturating_sub(RECORDS_BEHIND_MAX);
        let mut due = Vec::new();
        let mut left = more;
        let mut last_taken = None;
        while let Some((since, account)) = self.longest() {
            let must_go = since <= oldest || self.since.len() > ACCOUNTS_BEHIND_MAX;
            if !must_go && last_taken != Some(since) {
                if left == 0 {
                    break;
                }
                last_taken = Some(since);
            }
            left = left.saturating_sub(1);
            self.since.remove(&account);
            due.push(account);
        }
        due
    }

    /// The number of the last record that all rows have the entries of; `None` when they have all.
    pub(super) fn states_through(&mut self) -> Option<i64> {
        self.longest().map(|(since, _)| since.saturating_sub(1))
    }

    /// The account whose row is behind for the longest time.
    fn longest(&mut self) -> Option<(i64, AccountId)> {
        while let Some((since, account)) = self.queue.front() {
            if self.since.get(account) == Some(since) {
                return Some((*since, *account));
            }
            self.queue.pop_front();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn account(number: u128) -> AccountId {
        AccountId(Uuid::from_u128(number))
    }

    #[test]
    fn a_row_is_behind_since_the_first_record_that_it_lacks() {
        let mut behind = Behind::default();
        assert_eq!(behind.states_through(), None);
        behind.add(account(1), 10);
        behind.add(account(2), 12);
        behind.add(account(1), 15);
        assert_eq!(behind.states_through(), Some(9));
        behind.remove(account(1));
        assert_eq!(behind.states_through(), Some(11));
        behind.add(account(1), 20);
        assert_eq!(behind.take_due(20, 1), [account(2)]);
        assert_eq!(behind.states_through(), Some(19));
        assert_eq!(behind.take_due(20, 9), [account(1)]);
        assert!(behind.is_empty());
        assert_eq!(behind.states_through(), None);
    }

    #[test]
    fn rows_of_one_group_are_written_together() {
        let mut behind = Behind::default();
        for number in 1..=6 {
            behind.add(account(number), if number <= 4 { 10 } else { 20 });
        }
        assert_eq!(behind.take_due(20, 1), [1, 2, 3, 4].map(account));
        assert_eq!(behind.states_through(), Some(19));
    }

    #[test]
    fn no_row_is_behind_for_too_long() {
        let mut behind = Behind::default();
        behind.add(account(1), 10);
        behind.add(account(2), 11);
        assert_eq!(behind.take_due(RECORDS_BEHIND_MAX + 9, 0), []);
        assert_eq!(behind.take_due(RECORDS_BEHIND_MAX + 10, 0), [account(1)]);
        assert!(behind.contains(account(2)));
    }

    #[test]
    fn no_more_rows_are_behind_than_can_be_kept() {
        let mut behind = Behind::default();
        let most = i64::try_from(ACCOUNTS_BEHIND_MAX).unwrap();
        for number in 1..=most + 3 {
            behind.add(account(number.cast_unsigned().into()), number);
        }
        assert_eq!(behind.take_due(most, 0), [account(1), account(2), account(3)]);
        assert_eq!(behind.take_due(most, 0), []);
    }
}
