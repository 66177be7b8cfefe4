//! What the engine knows from group to group: where the busy accounts stand, and which of their rows are behind.

use super::behind::Behind;
use super::{Error, write};
use crate::engine::cache::{Cache, Standings};
use crate::engine::decide::{AccountState, Head, Standing, WorkingSet};
use ledger_api::AccountId;
use rusqlite::Connection;
use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The most rows that are written at a time while nothing else is to be done: a group that comes meanwhile
/// waits for them.
const ROWS_PER_STEP: usize = 4_096;

pub(super) struct Memory {
    /// Shared with those who read where accounts stand. Each use is short.
    cache: Arc<RwLock<Cache>>,
    behind: Behind,
    rows_at_once: usize,
    /// Whether nobody else has written since this engine began. Where several do, each would add up what the
    /// others did again and again, so no row stays behind.
    is_alone: bool,
    /// Whether a group has begun and not ended: what is known here may be more than what was committed.
    is_in_doubt: bool,
    damaged: Damaged,
}

/// Rows that cannot have what they lack, because then they would break a rule of the database: somebody has
/// changed them. Only what is about their accounts is refused.
#[derive(Debug, Default)]
struct Damaged {
    accounts: HashSet<AccountId>,
    /// `journal_head.states_through` stays there on their account.
    states_through: Option<i64>,
}

/// Rows of accounts to be written.
pub(super) struct Rows {
    /// With the account's number, in the order in which they are stored.
    pub(super) standings: Vec<(i64, Standing)>,
    /// The last record that then all rows have the moves of; `None` when they have all there are.
    pub(super) states_through: Option<i64>,
}

impl Memory {
    pub(super) fn new(rows_at_once: usize) -> Self {
        Self {
            cache: Arc::default(),
            behind: Behind::default(),
            rows_at_once,
            is_alone: true,
            is_in_doubt: true,
            damaged: Damaged::default(),
        }
    }

    pub(super) fn standings(&self) -> Standings {
        Standings::of(self.cache.clone())
    }

    /// Whether there are accounts whose rows are behind, as far as they can be written, or may be.
    pub(super) fn is_behind(&self) -> bool {
        self.is_in_doubt || !self.behind.is_empty()
    }

    /// Whether the account's row says less than its entries and holds, and cannot say more.
    pub(super) fn is_damaged(&self, account: AccountId) -> bool {
        self.damaged.accounts.contains(&account)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Cache> {
        self.cache.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Cache> {
        self.cache.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a group under the lock of the journal's head. If somebody else has written, or it is not
    /// certain what this engine wrote last, rows that are behind are made from entries and holds; tells whether any
    /// were, and then wants to be asked again once that is committed, so that no group can take it back.
    pub(super) fn begin(
        &mut self,
        tx: &Connection,
        head: Head,
        states_through: Option<i64>,
    ) -> Result<bool, Error> {
        let was_in_doubt = std::mem::replace(&mut self.is_in_doubt, true);
        {
            let mut cache = self.write();
            if was_in_doubt {
                cache.forget();
            }
            if cache.check(head, states_through) {
                return Ok(false);
            }
        }
        self.is_alone &= was_in_doubt;
        self.behind = Behind::default();
        self.damaged = Damaged::default();
        if states_through.is_none() {
            return Ok(false);
        }
        let accounts: HashSet<AccountId> = write::catch_up(tx)?.into_iter().collect();
        if !accounts.is_empty() {
            self.damaged = Damaged { accounts, states_through };
        }
        Ok(true)
    }

    /// The rows that a group writes, which began where the journal ended at `before`.
    pub(super) fn rows_to_write(&mut self, before: Head, set: &WorkingSet) -> Result<Rows, Error> {
        let at_once = if self.is_alone { self.rows_at_once } else { usize::MAX };
        let changed = set.changed_accounts();
        let mut written = Vec::new();
        let mut more = 0;
        if let Some(rest) = at_once.checked_sub(changed.len()) {
            more = rest;
            written = changed;
        } else {
            let first = before.last_sequence.saturating_add(1);
            self.behind.add(changed.into_iter().map(|(id, _)| id), first);
        }
        let mut standings = Vec::with_capacity(written.len());
        for (id, state) in written {
            self.behind.remove(id);
            standings.push((state.sequence, state.standing));
        }
        let mut due = self.behind.take_overdue(set.moves());
        due.extend(self.behind.take_longest(more));
        self.rows(standings, due, |id| set.accounts.get(&id))
    }

    /// Some of the rows that are behind, to be written while nothing else is to be done.
    pub(super) fn rows_behind(&mut self) -> Result<Rows, Error> {
        let due = self.behind.take_oldest(ROWS_PER_STEP);
        self.rows(Vec::new(), due, |_| None)
    }

    /// Adds the accounts that are due, as the group has left them or else one before it.
    fn rows<'a>(
        &mut self,
        mut standings: Vec<(i64, Standing)>,
        due: Vec<AccountId>,
        in_group: impl Fn(AccountId) -> Option<&'a AccountState>,
    ) -> Result<Rows, Error> {
        let cache = self.read();
        for id in due {
            let state = in_group(id).or_else(|| cache.account(id)).ok_or(Error::Forgotten(id))?;
            standings.push((state.sequence, state.standing));
        }
        drop(cache);
        standings.sort_unstable_by_key(|(sequence, _)| *sequence);
        Ok(Rows { standings, states_through: self.states_through() })
    }

    fn states_through(&mut self) -> Option<i64> {
        let behind = self.behind.states_through();
        behind.into_iter().chain(self.damaged.states_through).min()
    }

    /// Keeps what a group has left behind, once it is durable or when it has changed nothing.
    pub(super) fn end(&mut self, set: WorkingSet) {
        let states_through = self.states_through();
        self.write().keep(set, states_through, |account| self.behind.contains(account));
        self.is_in_doubt = false;
    }
}
