//! What the last groups left behind, so that what is busy is not read again for each group.

use super::IdMap;
use super::decide::{AccountState, Head, HoldState, WorkingSet};
use ledger_api::{AccountId, HoldId, HoldStatus, TransactionId};
use std::hash::Hash;

/// The most accounts that are kept: a hundred thousand take some 20 MB.
const ACCOUNTS_MAX: usize = 131_072;

/// The most pending holds that are kept: with two legs they take some 5 MB. Larger ones are not kept.
const HOLDS_MAX: usize = 16_384;
const HOLD_LEGS_MAX: usize = 8;
const HOLD_METADATA_MAX: usize = 8;

/// Valid as long as nobody else writes: every write moves the journal's head, so whoever finds the head where
/// he left it knows that nothing has changed since.
#[derive(Debug, Default)]
pub(super) struct Cache {
    as_of: Option<Head>,
    accounts: IdMap<AccountId, AccountState>,
    /// Those that still can be captured.
    holds: IdMap<HoldId, HoldState>,
    greatest: Option<Greatest>,
}

/// The greatest ids that were ever stored, byte by byte; nil before there is one. Most ids are made in the
/// order of time (UUIDv7), and whatever is greater need not be looked for. Once there is a random id among
/// them, most others are looked for as ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Greatest {
    pub(super) transaction: TransactionId,
    pub(super) hold: HoldId,
}

impl Cache {
    /// Forgets everything if the journal has gone on without this engine.
    pub(super) fn check(&mut self, head: Head) {
        if self.as_of != Some(head) {
            self.accounts.clear();
            self.holds.clear();
            self.greatest = None;
            self.as_of = Some(head);
        }
    }

    /// `None` as long as they are to be read.
    pub(super) fn greatest(&self) -> Option<Greatest> {
        self.greatest
    }

    pub(super) fn set_greatest(&mut self, greatest: Greatest) {
        self.greatest = Some(greatest);
    }

    /// Puts the known ones of these accounts into the set and leaves the others to be read.
    pub(super) fn fill_accounts(
        &self,
        set: &mut WorkingSet,
        wanted: &[AccountId],
    ) -> Vec<AccountId> {
        fill(&self.accounts, &mut set.accounts, wanted)
    }

    /// Puts the known ones of these holds into the set and leaves the others to be read.
    pub(super) fn fill_holds(&self, set: &mut WorkingSet, wanted: &[HoldId]) -> Vec<HoldId> {
        fill(&self.holds, &mut set.holds, wanted)
    }

    /// Keeps what a group has left behind; once it is durable, or when it has changed nothing.
    pub(super) fn keep(&mut self, set: WorkingSet) {
        self.as_of = Some(set.head);
        if let Some(Greatest { transaction, hold }) = &mut self.greatest {
            *transaction = set.existing_transactions.keys().copied().fold(*transaction, Ord::max);
            *hold = set.holds.keys().copied().fold(*hold, Ord::max);
        }
        let accounts = set.accounts.into_iter().map(|(id, state)| (id, state.settled()));
        keep(&mut self.accounts, accounts, ACCOUNTS_MAX);
        for id in set.holds.keys() {
            self.holds.remove(id);
        }
        let pending = set.holds.into_iter().filter(|(_, HoldState { hold, .. })| {
            hold.status == HoldStatus::Pending
                && hold.legs.len() <= HOLD_LEGS_MAX
                && hold.metadata.len() <= HOLD_METADATA_MAX
        });
        keep(&mut self.holds, pending.map(|(id, state)| (id, state.settled())), HOLDS_MAX);
    }
}

fn fill<K: Copy + Eq + Hash, V: Clone>(
    known: &IdMap<K, V>,
    set: &mut IdMap<K, V>,
    wanted: &[K],
) -> Vec<K> {
    set.reserve(wanted.len());
    let mut unknown = Vec::new();
    for id in wanted {
        match known.get(id) {
            Some(state) => drop(set.insert(*id, state.clone())),
            None => unknown.push(*id),
        }
    }
    unknown
}

fn keep<K: Eq + Hash, V>(
    known: &mut IdMap<K, V>,
    states: impl Iterator<Item = (K, V)>,
    most: usize,
) {
    if known.len().saturating_add(states.size_hint().1.unwrap_or(most)) > most {
        // Whoever is busy is back at once.
        known.clear();
    }
    known.extend(states.take(most));
}
