//! Accounts as the last groups left them, so that a busy account is not read again for each group.

use super::IdMap;
use super::decide::{AccountState, Head, WorkingSet};
use ledger_api::AccountId;

/// The most accounts that are kept: a hundred thousand take some 20 MB.
const ACCOUNTS_MAX: usize = 131_072;

/// Valid as long as nobody else writes: every write moves the journal's head, so whoever finds the head where
/// he left it knows that nothing has changed since.
#[derive(Debug, Default)]
pub(super) struct AccountCache {
    as_of: Option<Head>,
    accounts: IdMap<AccountId, AccountState>,
}

impl AccountCache {
    /// Forgets everything if the journal has gone on without this engine.
    pub(super) fn check(&mut self, head: Head) {
        if self.as_of != Some(head) {
            self.accounts.clear();
            self.as_of = Some(head);
        }
    }

    /// Puts the known ones of these accounts into the set and leaves the others to be read.
    pub(super) fn fill(&self, set: &mut WorkingSet, wanted: &[AccountId]) -> Vec<AccountId> {
        set.accounts.reserve(wanted.len());
        let mut unknown = Vec::new();
        for id in wanted {
            match self.accounts.get(id) {
                Some(state) => drop(set.accounts.insert(*id, state.clone())),
                None => unknown.push(*id),
            }
        }
        unknown
    }

    /// Keeps what a group has left behind; once it is durable, or when it has changed nothing.
    pub(super) fn keep(&mut self, set: WorkingSet) {
        self.as_of = Some(set.head);
        if self.accounts.len().saturating_add(set.accounts.len()) > ACCOUNTS_MAX {
            // Whoever is busy is back at once.
            self.accounts.clear();
        }
        self.accounts.extend(
            set.accounts.into_iter().take(ACCOUNTS_MAX).map(|(id, state)| (id, state.settled())),
        );
    }
}
