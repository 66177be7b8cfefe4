//! What comes of each command: pure decisions on what was loaded, in order, without I/O.
//!
//! A refused command leaves the working set as it was, so the next one of the group is decided as if the
//! refused one had never come. What may have to be taken back after all, a batch or a dry run, is noted
//! while it is applied ([`Undo`]).

mod accounts;
mod checks;
mod holds;
mod limits;
mod postings;

pub(super) use accounts::{AccountState, Standing};
pub(crate) use limits::{LimitedAccount, Usage};
pub(crate) use postings::{Counted, ENTRIES_PER_MARK, Movement, last_of_each_account};

use super::{Command, IdMap, Outcome};
use kernel::{Timestamp, UserId};
use ledger_api::{
    Account, AccountId, AccountStatus, Hold, HoldId, HoldStatus, Limits, Refusal, Transaction,
    TransactionId,
};
use std::sync::Arc;

/// The end of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) last_sequence: i64,
    pub(super) last_recorded_at: Timestamp,
}

/// A leg as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewEntry {
    pub(super) entry_key: i64,
    pub(super) account_sequence: i64,
    /// Positive for a debit.
    pub(super) amount: i64,
    pub(super) balance_after: i64,
    /// The account's entry before it.
    pub(super) previous: Option<i64>,
    /// Whether it is one of those that lead into the middle of the account's list.
    pub(super) is_mark: bool,
}

/// A leg of a hold as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewHoldLeg {
    pub(super) hold_sequence: i64,
    pub(super) leg_no: i64,
    pub(super) account_sequence: i64,
    /// Positive for a debit.
    pub(super) amount: i64,
    /// The hold before it with a leg on the account.
    pub(super) previous: Option<i64>,
}

/// An entry whose value date is not the instant of recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewShift {
    pub(super) account_sequence: i64,
    pub(super) entry_key: i64,
    pub(super) effective_at: Timestamp,
    /// Positive on the account's normal side.
    pub(super) amount: i64,
}

/// A change of an account's status as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewChange {
    pub(super) sequence: i64,
    pub(super) account_sequence: i64,
    pub(super) status: AccountStatus,
    pub(super) reason: String,
    pub(super) changed_at: Timestamp,
}

/// A change of an account's limits as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewLimitChange {
    pub(super) sequence: i64,
    pub(super) account_sequence: i64,
    pub(super) limits: Limits,
    pub(super) changed_at: Timestamp,
}

/// The end of a hold, other than by a capture, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewHoldChange {
    pub(super) sequence: i64,
    pub(super) hold_sequence: i64,
    pub(super) status: HoldStatus,
    pub(super) reason: Option<String>,
    pub(super) changed_at: Timestamp,
    pub(super) initiated_by: Option<UserId>,
}

/// A hold that the group works on.
#[derive(Clone, Debug)]
pub(super) struct HoldState {
    pub(super) hold: Hold,
    /// Whether this group made it.
    pub(super) is_new: bool,
    /// Whether this group changed it.
    pub(super) changed: bool,
}

impl HoldState {
    /// The hold once what this group changed is stored.
    pub(super) fn settled(self) -> Self {
        Self { is_new: false, changed: false, ..self }
    }
}

/// What a group works on, and what it leaves to be written.
#[derive(Debug)]
pub(super) struct WorkingSet {
    pub(super) head: Head,
    /// Accounts that the group touches and that exist.
    pub(super) accounts: IdMap<AccountId, AccountState>,
    /// Accounts that the group wants to open or change, as far as they exist.
    pub(super) existing_accounts: IdMap<AccountId, Account>,
    /// Transactions with an id that the group wants to post.
    pub(super) existing_transactions: IdMap<TransactionId, Arc<Transaction>>,
    /// How much of each transaction that the group wants to reverse was reversed before, in minor units of
    /// the first leg.
    pub(super) reversed: IdMap<TransactionId, i64>,
    /// Holds that the group wants to make, capture or release, as far as they exist.
    pub(super) holds: IdMap<HoldId, HoldState>,
    pub(super) new_accounts: Vec<(i64, Account)>,
    pub(super) new_changes: Vec<NewChange>,
    pub(super) new_limit_changes: Vec<NewLimitChange>,
    pub(super) new_holds: Vec<HoldId>,
    pub(super) new_hold_legs: Vec<NewHoldLeg>,
    pub(super) new_hold_changes: Vec<NewHoldChange>,
    pub(super) new_transactions: Vec<Arc<Transaction>>,
    pub(super) new_entries: Vec<NewEntry>,
    pub(super) new_shifts: Vec<NewShift>,
    /// What to put back, newest last, while something may have to be undone.
    undo: Option<Vec<Undo>>,
    now: Timestamp,
    recorded_at: Timestamp,
}

/// One change of the working set, as it was before.
#[derive(Clone, Debug)]
enum Undo {
    Standing { account: AccountId, before: Standing },
    Status { account: AccountId, before: AccountStatus },
    Limits { account: AccountId, before: Option<Box<LimitedAccount>> },
    LimitChange,
    Reversed { original: TransactionId, before: i64 },
    Hold { id: HoldId, status: HoldStatus, captured: i64, ended_by: Option<i64>, changed: bool },
    NewHold(HoldId),
    HoldChange,
    Transaction(TransactionId),
    Account(AccountId),
}

impl WorkingSet {
    /// `now` is the group's instant; the journal's time never runs backwards, whatever the clock does.
    pub(super) fn new(head: Head, now: Timestamp) -> Self {
        Self {
            head,
            accounts: IdMap::default(),
            existing_accounts: IdMap::default(),
            existing_transactions: IdMap::default(),
            reversed: IdMap::default(),
            holds: IdMap::default(),
            new_accounts: Vec::new(),
            new_changes: Vec::new(),
            new_limit_changes: Vec::new(),
            new_holds: Vec::new(),
            new_hold_legs: Vec::new(),
            new_hold_changes: Vec::new(),
            new_transactions: Vec::new(),
            new_entries: Vec::new(),
            new_shifts: Vec::new(),
            undo: None,
            now,
            recorded_at: now.max(head.last_recorded_at),
        }
    }

    /// Decides one command and applies it to the set unless it is refused.
    pub(super) fn decide(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        match command {
            Command::OpenAccount(account) => self.open_account(account).map(Outcome::Account),
            Command::ChangeStatus(change) => self.change_status(change).map(Outcome::Account),
            Command::SetLimits(change) => self.set_limits(change).map(Outcome::Limits),
            Command::Post(transaction) => self.post(transaction).map(Outcome::Posted),
            Command::Reverse(reversal) => self.reverse(reversal).map(Outcome::Posted),
            Command::Hold(hold) => self.hold(hold).map(Outcome::Held),
            Command::Capture(capture) => self.capture(capture).map(Outcome::Posted),
            Command::Release(release) => self.release(release).map(Outcome::Held),
            Command::PostAll(batch) => self.post_all(batch).map(Outcome::PostedAll),
            Command::PostEach(chains) => Ok(Outcome::PostedEach(self.post_each(chains))),
            Command::DryRun(command) => self.apart(|set| set.decide(command), |_| false),
        }
    }

    /// Does something that may have to be undone: it is unless `keep` says otherwise. May be nested.
    fn apart<T>(&mut self, work: impl FnOnce(&mut Self) -> T, keep: impl FnOnce(&T) -> bool) -> T {
        let is_outermost = self.undo.is_none();
        let (head, entries, shifts) = (self.head, self.new_entries.len(), self.new_shifts.len());
        let hold_legs = self.new_hold_legs.len();
        let mark = self.undo.get_or_insert_default().len();
        let result = work(self);
        if !keep(&result) {
            let changes = self.undo.as_mut().map(|undo| undo.split_off(mark)).unwrap_or_default();
            changes.into_iter().rev().for_each(|change| self.put_back(change));
            self.head = head;
            self.new_entries.truncate(entries);
            self.new_shifts.truncate(shifts);
            self.new_hold_legs.truncate(hold_legs);
        }
        if is_outermost {
            self.undo = None;
        }
        result
    }

    fn put_back(&mut self, change: Undo) {
        match change {
            Undo::Standing { account, before } => {
                self.with_account(account, |state| state.standing = before);
            }
            Undo::Status { account, before } => {
                self.with_account(account, |state| state.status = before);
                self.new_changes.pop();
            }
            Undo::Limits { account, before } => {
                self.with_account(account, |state| state.limited = before);
            }
            Undo::LimitChange => drop(self.new_limit_changes.pop()),
            Undo::Reversed { original, before } => {
                self.reversed.insert(original, before);
            }
            Undo::Hold { id, status, captured, ended_by, changed } => {
                if let Some(state) = self.holds.get_mut(&id) {
                    // Nobody changes a hold that was released.
                    let released_by = None;
                    let after = state.hold.clone();
                    state.hold = Hold { status, captured, ended_by, released_by, ..after };
                    state.changed = changed;
                }
            }
            Undo::NewHold(id) => {
                self.holds.remove(&id);
                self.new_holds.pop();
            }
            Undo::HoldChange => drop(self.new_hold_changes.pop()),
            Undo::Transaction(id) => {
                self.existing_transactions.remove(&id);
                self.new_transactions.pop();
            }
            Undo::Account(id) => {
                self.existing_accounts.remove(&id);
                self.accounts.remove(&id);
                self.new_accounts.pop();
            }
        }
    }

    fn with_account(&mut self, account: AccountId, change: impl FnOnce(&mut AccountState)) {
        if let Some(state) = self.accounts.get_mut(&account) {
            change(state);
        }
    }

    /// `change` is only made when something may have to be undone.
    fn note(&mut self, change: impl FnOnce() -> Undo) {
        if let Some(undo) = &mut self.undo {
            undo.push(change());
        }
    }

    /// Whether there is anything to write: each record has a number of its own.
    pub(super) fn is_changed(&self) -> bool {
        !self.new_accounts.is_empty()
            || !self.new_changes.is_empty()
            || !self.new_limit_changes.is_empty()
            || !self.new_holds.is_empty()
            || !self.new_hold_changes.is_empty()
            || !self.new_transactions.is_empty()
    }

    /// How much there is to add up of this group for rows that are behind it: entries, legs of new holds, and
    /// holds that ended without a capture.
    pub(super) fn moves(&self) -> usize {
        let held = self.new_hold_legs.len().saturating_add(self.new_hold_changes.len());
        self.new_entries.len().saturating_add(held)
    }

    /// The accounts whose standing changed, in the order in which they are stored. An account opened by
    /// this group is among them if something was posted to it.
    pub(super) fn changed_accounts(&self) -> Vec<(AccountId, &AccountState)> {
        let accounts = self.accounts.iter().map(|(id, account)| (*id, account));
        let mut changed: Vec<_> =
            accounts.filter(|(_, account)| account.standing.changed).collect();
        changed.sort_unstable_by_key(|(_, account)| account.sequence);
        changed
    }

    /// The usage of limits that changed, with its account's number.
    pub(super) fn changed_usages(&self) -> impl Iterator<Item = (i64, &Usage)> {
        self.accounts.values().flat_map(|account| {
            let usages = account.limited.iter().flat_map(|limited| &limited.usages);
            usages.filter(|usage| usage.changed).map(|usage| (account.sequence, usage))
        })
    }

    /// The holds that this group made, with what has come of them since.
    pub(super) fn holds_to_add(&self) -> impl Iterator<Item = &Hold> {
        self.new_holds.iter().filter_map(|id| self.holds.get(id)).map(|state| &state.hold)
    }

    /// The older holds that this group changed.
    pub(super) fn changed_holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values().filter(|state| state.changed && !state.is_new).map(|state| &state.hold)
    }

    fn next_sequence(&mut self) -> i64 {
        // 2^63 records are out of reach.
        self.head.last_sequence = self.head.last_sequence.saturating_add(1);
        self.head.last_recorded_at = self.recorded_at;
        self.head.last_sequence
    }
}
