//! A stretch of the journal as it is stored: every record in it, and the leaves of the history's tree that
//! they are.

mod repo;

pub(crate) use repo::{accounts_touched, holds_ended};

use super::encode::{self, AccountRow, HoldRow};
use crate::history::record;
use crate::history::tree::Hash;
use kernel::{Timestamp, UserId};
use ledger_api::{AccountId, EntryKey, Hold, HoldId, Leg, Transaction, TransactionId};
use store::StoreError;
use uuid::Uuid;

/// All records of a range of numbers, each kind in order.
pub(crate) struct Chunk {
    pub(crate) accounts: Vec<AccountRow>,
    pub(crate) changes: Vec<ChangeRow>,
    pub(crate) limit_changes: Vec<LimitChangeRow>,
    pub(crate) holds: Vec<StoredHold>,
    pub(crate) hold_legs: Vec<HoldLegRow>,
    pub(crate) hold_ends: Vec<HoldEndRow>,
    pub(crate) transactions: Vec<TransactionRow>,
    pub(crate) entries: Vec<EntryRow>,
}

/// What an account's status became.
pub(crate) struct ChangeRow {
    pub(crate) sequence: i64,
    pub(crate) account_sequence: i64,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) changed_at: i64,
}

/// What an account's limits became.
pub(crate) struct LimitChangeRow {
    pub(crate) sequence: i64,
    pub(crate) account_sequence: i64,
    pub(crate) limits: String,
    pub(crate) changed_at: i64,
}

/// A hold and, as its state says, when it expires: by that it is found when its time is over.
pub(crate) struct StoredHold {
    pub(crate) hold: HoldRow,
    pub(crate) state_expires_at: Option<i64>,
}

pub(crate) struct HoldLegRow {
    pub(crate) hold_sequence: i64,
    pub(crate) account_sequence: i64,
    /// Positive for a debit.
    pub(crate) amount: i64,
    /// The hold before it with a leg on the account.
    pub(crate) previous: Option<i64>,
}

/// The end of a hold other than by a capture.
pub(crate) struct HoldEndRow {
    pub(crate) sequence: i64,
    pub(crate) hold_sequence: i64,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) changed_at: i64,
    pub(crate) initiated_by: Option<Uuid>,
}

pub(crate) struct TransactionRow {
    pub(crate) sequence: i64,
    id: Uuid,
    pub(crate) kind: String,
    description: Option<String>,
    reference: Option<String>,
    pub(crate) metadata: Option<String>,
    pub(crate) effective_at: i64,
    pub(crate) recorded_at: i64,
    reverses: Option<Uuid>,
    captures: Option<Uuid>,
    initiated_by: Option<Uuid>,
}

#[derive(Clone, Copy)]
pub(crate) struct EntryRow {
    pub(crate) entry_key: i64,
    pub(crate) account_sequence: i64,
    /// Positive for a debit.
    pub(crate) amount: i64,
    pub(crate) balance_after: i64,
    pub(crate) previous: Option<i64>,
}

/// What a leg says of its account.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    pub(crate) id: AccountId,
    pub(crate) currency: kernel::Currency,
}

impl Chunk {
    /// The number of each record and when it was made.
    pub(crate) fn times(&self) -> impl Iterator<Item = (i64, i64)> {
        let transactions = self.transactions.iter().map(|row| (row.sequence, row.recorded_at));
        let accounts = self.accounts.iter().map(|row| (row.sequence, row.opened_at));
        let changes = self.changes.iter().map(|row| (row.sequence, row.changed_at));
        let limits = self.limit_changes.iter().map(|row| (row.sequence, row.changed_at));
        let holds = self.holds.iter().map(|row| (row.hold.sequence, row.hold.created_at));
        let ends = self.hold_ends.iter().map(|row| (row.sequence, row.changed_at));
        transactions.chain(accounts).chain(changes).chain(limits).chain(holds).chain(ends)
    }

    /// The leaves of the range that was read, in order: none for a record that is missing or not as the
    /// program writes it, and what is wrong with the latter. `account` names an account by its number.
    pub(crate) fn leaves(
        &self,
        (first, last): (i64, i64),
        account: impl Fn(i64) -> Option<Named> + Copy,
    ) -> (Vec<Option<Hash>>, Vec<(i64, StoreError)>) {
        let place = |sequence: i64| usize::try_from(sequence.saturating_sub(first));
        let mut leaves = vec![None; place(last.saturating_add(1)).unwrap_or_default()];
        let mut wrong = Vec::new();
        for (sequence, leaf) in self.each_leaf(account) {
            match leaf {
                Ok(leaf) => {
                    if let Some(place) = place(sequence).ok().and_then(|at| leaves.get_mut(at)) {
                        *place = Some(leaf);
                    }
                }
                Err(error) => wrong.push((sequence, error)),
            }
        }
        (leaves, wrong)
    }

    /// The leaf of each record with its number, kind by kind.
    fn each_leaf<'a>(
        &'a self,
        account: impl Fn(i64) -> Option<Named> + Copy + 'a,
    ) -> impl Iterator<Item = (i64, Result<Hash, StoreError>)> + 'a {
        let accounts = self.accounts.iter().map(|row| {
            let opened = row.clone().into_account();
            (row.sequence, opened.map(|account| record::account(row.sequence, &account)))
        });
        let changes = self.changes.iter().map(|row| {
            let at = (row.sequence, Timestamp::from_micros(row.changed_at));
            (
                row.sequence,
                Ok(record::status_change(at, row.account_sequence, &row.status, &row.reason)),
            )
        });
        let limit_changes = self.limit_changes.iter().map(|row| {
            let at = (row.sequence, Timestamp::from_micros(row.changed_at));
            (row.sequence, Ok(record::limit_change(at, row.account_sequence, &row.limits)))
        });
        let holds = self.each_hold(account);
        let holds = holds.map(|(sequence, hold)| (sequence, hold.map(|hold| record::hold(&hold))));
        let hold_ends = self.hold_ends.iter().map(|row| {
            let at = (row.sequence, Timestamp::from_micros(row.changed_at));
            let (reason, by) = (row.reason.as_deref(), row.initiated_by.map(UserId));
            (row.sequence, Ok(record::hold_end(at, row.hold_sequence, &row.status, reason, by)))
        });
        let transactions = self.each_transaction(account).map(|(sequence, transaction)| {
            (sequence, transaction.map(|transaction| record::transaction(&transaction)))
        });
        accounts
            .chain(changes)
            .chain(limit_changes)
            .chain(holds)
            .chain(hold_ends)
            .chain(transactions)
    }

    /// The holds with their numbers, as they stand.
    pub(crate) fn each_hold<'a>(
        &'a self,
        account: impl Fn(i64) -> Option<Named> + Copy + 'a,
    ) -> impl Iterator<Item = (i64, Result<Hold, StoreError>)> + 'a {
        let mut hold_legs = self.hold_legs.as_slice();
        self.holds.iter().map(move |StoredHold { hold: row, .. }| {
            let own = next_of(&mut hold_legs, row.sequence, |leg| leg.hold_sequence);
            let legs = own.iter().map(|leg| leg_of(account, leg.account_sequence, leg.amount));
            let hold = legs.collect::<Result<_, _>>().and_then(|legs| row.clone().into_hold(legs));
            (row.sequence, hold)
        })
    }

    /// The transactions with their numbers.
    pub(crate) fn each_transaction<'a>(
        &'a self,
        account: impl Fn(i64) -> Option<Named> + Copy + 'a,
    ) -> impl Iterator<Item = (i64, Result<Transaction, StoreError>)> + 'a {
        let mut entries = self.entries.as_slice();
        self.transactions.iter().map(move |row| {
            let number = |entry: &EntryRow| EntryKey(entry.entry_key).parts().0;
            let own = next_of(&mut entries, row.sequence, number);
            let legs = own.iter().map(|leg| leg_of(account, leg.account_sequence, leg.amount));
            let transaction = legs.collect::<Result<_, _>>().and_then(|legs| row.transaction(legs));
            (row.sequence, transaction)
        })
    }
}

impl TransactionRow {
    pub(crate) fn is_reversal(&self) -> bool {
        self.reverses.is_some()
    }

    pub(crate) fn is_capture(&self) -> bool {
        self.captures.is_some()
    }

    fn transaction(&self, legs: Vec<Leg>) -> Result<Transaction, StoreError> {
        let metadata = encode::metadata_from(self.metadata.as_deref(), self.id)?;
        if encode::metadata_text(&metadata) != self.metadata {
            return Err(StoreError::inconsistent("transactions", "metadata", self.id));
        }
        Ok(Transaction {
            id: TransactionId(self.id),
            sequence: self.sequence,
            kind: self.kind.clone(),
            description: self.description.clone(),
            reference: self.reference.clone(),
            effective_at: Timestamp::from_micros(self.effective_at),
            recorded_at: Timestamp::from_micros(self.recorded_at),
            metadata,
            legs,
            reverses: self.reverses.map(TransactionId),
            captures: self.captures.map(HoldId),
            initiated_by: self.initiated_by.map(UserId),
        })
    }
}

/// The rows of one record from the front of rows in order; those before are skipped.
fn next_of<'a, T>(rows: &mut &'a [T], sequence: i64, number: impl Fn(&T) -> i64) -> &'a [T] {
    let before = rows.iter().take_while(|row| number(row) < sequence).count();
    let (_, rest) = rows.split_at(before);
    let own = rest.iter().take_while(|row| number(row) == sequence).count();
    let (own, rest) = rest.split_at(own);
    *rows = rest;
    own
}

fn leg_of(
    account: impl Fn(i64) -> Option<Named>,
    account_sequence: i64,
    amount: i64,
) -> Result<Leg, StoreError> {
    let unknown = || StoreError::inconsistent("entries", "account_sequence", account_sequence);
    let named = account(account_sequence).ok_or_else(unknown)?;
    encode::leg_of(named.id, amount, named.currency)
}
