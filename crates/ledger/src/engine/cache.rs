//! What the last groups left behind, so that what is busy is not read again for each group.

use super::IdMap;
use super::decide::{AccountState, Head, HoldState, WorkingSet};
use ledger_api::{AccountId, Balances, HoldId, HoldStatus, TransactionId};
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

/// The most accounts that are kept, in some 40 MB: just what fits before the map doubles.
pub(super) const ACCOUNTS_MAX: usize = 229_376;

/// The most pending holds that are kept: with two legs they take some 5 MB. Larger ones are not kept.
const HOLDS_MAX: usize = 16_384;
const HOLD_LEGS_MAX: usize = 8;
const HOLD_METADATA_MAX: usize = 8;

/// Valid as long as nobody else writes: every write moves the journal's head, so whoever finds the head where
/// he left it knows that nothing has changed since.
#[derive(Debug, Default)]
pub(super) struct Cache {
    as_of: Option<Head>,
    /// `journal_head.states_through` then.
    states_through: Option<i64>,
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
    /// Whether the journal ends, and its rows are behind, where this engine left them. If not, everything is
    /// forgotten, and nothing is known until a group has ended.
    pub(super) fn check(&mut self, head: Head, states_through: Option<i64>) -> bool {
        let is_known = self.as_of == Some(head) && self.states_through == states_through;
        if !is_known {
            self.forget();
        }
        is_known
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
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

    pub(super) fn account(&self, id: AccountId) -> Option<&AccountState> {
        self.accounts.get(&id)
    }

    /// Keeps what a group has left behind; once it is durable, or when it has changed nothing. When there are
    /// too many accounts, only those go that are not `needed`.
    pub(super) fn keep(
        &mut self,
        set: WorkingSet,
        states_through: Option<i64>,
        needed: impl Fn(AccountId) -> bool,
    ) {
        // Until all of it is kept nothing is.
        self.as_of = None;
        let head = set.head;
        if let Some(Greatest { transaction, hold }) = &mut self.greatest {
            *transaction = set.existing_transactions.keys().copied().fold(*transaction, Ord::max);
            *hold = set.holds.keys().copied().fold(*hold, Ord::max);
        }
        let accounts = set.accounts.into_iter().map(|(id, state)| (id, state.settled()));
        if self.accounts.len().saturating_add(accounts.len()) > ACCOUNTS_MAX {
            // Whoever is busy is back at once.
            self.accounts.retain(|id, _| needed(*id));
            for (id, state) in accounts {
                if self.accounts.len() < ACCOUNTS_MAX || needed(id) {
                    self.accounts.insert(id, state);
                }
            }
        } else {
            self.accounts.extend(accounts);
        }
        for id in set.holds.keys() {
            self.holds.remove(id);
        }
        let pending = set.holds.into_iter().filter(|(_, HoldState { hold, .. })| {
            hold.status == HoldStatus::Pending
                && hold.legs.len() <= HOLD_LEGS_MAX
                && hold.metadata.len() <= HOLD_METADATA_MAX
        });
        let pending = pending.map(|(id, state)| (id, state.settled()));
        let most = pending.size_hint().1.unwrap_or(HOLDS_MAX);
        if self.holds.len().saturating_add(most) > HOLDS_MAX {
            self.holds.clear();
        }
        self.holds.extend(pending.take(HOLDS_MAX));
        self.states_through = states_through;
        self.as_of = Some(head);
    }
}

/// Where an account stands after the engine's last group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stands {
    pub(crate) account: AccountId,
    pub(crate) balances: Balances,
    pub(crate) last_entry: Option<i64>,
    pub(crate) last_hold: Option<i64>,
}

/// Where accounts stand, for those who read while rows are behind; nothing where they never are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standings(Option<Arc<RwLock<Cache>>>);

impl Standings {
    pub(super) fn of(cache: Arc<RwLock<Cache>>) -> Self {
        Self(Some(cache))
    }

    /// Whether rows are ever behind.
    pub(crate) fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Where those of the accounts stand whose rows may be behind, if the engine is where the journal's head is
    /// by its `last_sequence` and `states_through`; otherwise `None`. One number would not do: rows are also
    /// written while the journal stands still.
    pub(crate) fn at(
        &self,
        last_sequence: i64,
        states_through: i64,
        accounts: &[AccountId],
    ) -> Option<Vec<Stands>> {
        let cache = self.0.as_ref()?.read().unwrap_or_else(PoisonError::into_inner);
        cache.as_of.filter(|head| head.last_sequence == last_sequence)?;
        cache.states_through.filter(|through| *through == states_through)?;
        let known = accounts.iter().filter_map(|id| Some((id, cache.accounts.get(id)?)));
        let stands = known.map(|(id, AccountState { standing, .. })| Stands {
            account: *id,
            balances: standing.balances,
            last_entry: standing.last_entry,
            last_hold: standing.last_hold,
        });
        Some(stands.collect())
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
