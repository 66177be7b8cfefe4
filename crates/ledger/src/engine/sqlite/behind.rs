//! Accounts whose rows are written later than what moves them, once for many groups (ADRs 15 and 16).

use crate::engine::IdMap;
use crate::engine::cache::ACCOUNTS_MAX;
#[cfg(doc)]
use crate::engine::decide::WorkingSet;
use ledger_api::AccountId;
use std::collections::VecDeque;

/// The most accounts whose rows are behind. They are all kept in memory, beside as many others.
const ACCOUNTS_BEHIND_MAX: usize = ACCOUNTS_MAX / 2;

/// The most moves that a row may be behind: what a process that starts after a crash has to add up.
const MOVES_BEHIND_MAX: u64 = 4_194_304;

/// Which rows are behind, and since when.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// The first record whose moves the row does not have.
    since: IdMap<AccountId, i64>,
    /// The longest behind first. One that was written meanwhile is left in it.
    queue: VecDeque<Late>,
    /// How many moves ([`WorkingSet::moves`]) were written so far.
    moves: u64,
}

#[derive(Clone, Copy, Debug)]
struct Late {
    account: AccountId,
    since: i64,
    /// How many moves had been written before.
    moves: u64,
}

impl Behind {
    pub(super) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }

    pub(super) fn contains(&self, account: AccountId) -> bool {
        self.since.contains_key(&account)
    }

    /// The group that begins with record `first` moves these accounts and not their rows.
    pub(super) fn add(&mut self, accounts: impl Iterator<Item = AccountId>, first: i64) {
        for account in accounts {
            self.since.entry(account).or_insert_with(|| {
                self.queue.push_back(Late { account, since: first, moves: self.moves });
                first
            });
        }
    }

    /// The account's row is about to be written.
    pub(super) fn remove(&mut self, account: AccountId) {
        self.since.remove(&account);
        // Those that were written meanwhile must not fill the memory.
        if self.queue.len() / 2 > self.since.len().saturating_add(ACCOUNTS_BEHIND_MAX) {
            let since = &self.since;
            self.queue.retain(|late| since.get(&late.account) == Some(&late.since));
        }
    }

    /// Takes those that have been behind for too long, or are too many, after so many more moves.
    pub(super) fn take_overdue(&mut self, new_moves: usize) -> Vec<AccountId> {
        self.moves = self.moves.saturating_add(new_moves as u64);
        let mut due = Vec::new();
        while let Some(late) = self.longest() {
            let moves = self.moves.saturating_sub(late.moves);
            if moves <= MOVES_BEHIND_MAX && self.since.len() <= ACCOUNTS_BEHIND_MAX {
                break;
            }
            self.since.remove(&late.account);
            due.push(late.account);
        }
        due
    }

    /// Takes up to so many of those that are behind for the longest time.
    pub(super) fn take_longest(&mut self, count: usize) -> Vec<AccountId> {
        let mut due = Vec::new();
        while due.len() < count
            && let Some(late) = self.longest()
        {
            self.since.remove(&late.account);
            due.push(late.account);
        }
        due
    }

    /// Takes so many of those that are behind for the longest time, and all that are behind for as long: so
    /// [`Self::states_through`] moves whenever rows are written, even while the journal stands still.
    pub(super) fn take_oldest(&mut self, count: usize) -> Vec<AccountId> {
        let mut due = Vec::new();
        let mut oldest = None;
        while let Some(late) = self.longest()
            && (due.len() < count || oldest == Some(late.since))
        {
            oldest = Some(late.since);
            self.since.remove(&late.account);
            due.push(late.account);
        }
        due
    }

    /// The number of the last record that all rows have the moves of; `None` when they have all.
    pub(super) fn states_through(&mut self) -> Option<i64> {
        self.longest().map(|late| late.since.saturating_sub(1))
    }

    /// The account whose row is behind for the longest time.
    fn longest(&mut self) -> Option<Late> {
        while let Some(late) = self.queue.front() {
            if self.since.get(&late.account) == Some(&late.since) {
                return Some(*late);
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

    fn add(behind: &mut Behind, number: u128, first: i64) {
        behind.add(std::iter::once(account(number)), first);
    }

    #[test]
    fn a_row_is_behind_since_the_first_record_that_it_lacks() {
        let mut behind = Behind::default();
        assert_eq!(behind.states_through(), None);
        add(&mut behind, 1, 10);
        add(&mut behind, 2, 12);
        add(&mut behind, 1, 15);
        assert_eq!(behind.states_through(), Some(9));
        behind.remove(account(1));
        assert_eq!(behind.states_through(), Some(11));
        add(&mut behind, 1, 20);
        assert_eq!(behind.take_longest(1), [account(2)]);
        assert_eq!(behind.states_through(), Some(19));
        assert_eq!(behind.take_longest(9), [account(1)]);
        assert!(behind.is_empty());
        assert_eq!(behind.states_through(), None);
    }

    #[test]
    fn while_the_journal_stands_still_rows_of_one_group_are_taken_together() {
        let mut behind = Behind::default();
        behind.add((1..=4).map(account), 10);
        behind.add((5..=6).map(account), 20);
        assert_eq!(behind.take_oldest(1), [1, 2, 3, 4].map(account));
        assert_eq!(behind.states_through(), Some(19));
    }

    #[test]
    fn no_row_is_behind_for_too_long() {
        let mut behind = Behind::default();
        add(&mut behind, 1, 10);
        assert_eq!(behind.take_overdue(2), []);
        add(&mut behind, 2, 11);
        let most = usize::try_from(MOVES_BEHIND_MAX).unwrap();
        assert_eq!(behind.take_overdue(most - 2), []);
        assert_eq!(behind.take_overdue(1), [account(1)]);
        assert!(behind.contains(account(2)));
    }

    #[test]
    fn no_more_rows_are_behind_than_can_be_kept() {
        let mut behind = Behind::default();
        let most = ACCOUNTS_BEHIND_MAX as u128;
        behind.add((1..=most + 3).map(account), 1);
        assert_eq!(behind.take_overdue(0), [account(1), account(2), account(3)]);
        assert_eq!(behind.take_overdue(0), []);
    }

    #[test]
    fn those_that_are_written_meanwhile_do_not_fill_the_memory() {
        let mut behind = Behind::default();
        add(&mut behind, 1, 1);
        for first in 2..=i64::try_from(ACCOUNTS_BEHIND_MAX * 3).unwrap() {
            add(&mut behind, 2, first);
            behind.remove(account(2));
        }
        assert!(behind.queue.len() <= ACCOUNTS_BEHIND_MAX * 2 + 4, "{}", behind.queue.len());
        assert_eq!(behind.take_longest(2), [account(1)]);
    }
}
