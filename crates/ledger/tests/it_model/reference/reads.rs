//! What can be asked about the past.

use super::{Reference, narrow};
use kernel::{Money, Timestamp};
use ledger_api::{AccountId, BalanceAsOf, Basis, Entry, EntryKey, Hold, Leg, Side, Transaction};
use std::ops::Range;

/// What a statement says, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) opening: i64,
    pub(crate) closing: i64,
    pub(crate) debits: i64,
    pub(crate) debit_count: i64,
    pub(crate) credits: i64,
    pub(crate) credit_count: i64,
    pub(crate) as_of_sequence: i64,
}

impl Reference {
    pub(crate) fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    pub(crate) fn holds(&self) -> &[Hold] {
        &self.holds
    }

    pub(crate) fn balance_as_of(
        &self,
        account: AccountId,
        at: Option<Timestamp>,
        basis: Basis,
    ) -> Option<BalanceAsOf> {
        let of = self.account(account)?;
        let at = at.unwrap_or(self.recording_time());
        let balance = self.balance_where(account, |one| instant(one, basis) <= at);
        Some(BalanceAsOf {
            account,
            at,
            basis,
            balance: Money::new(balance, of.currency),
            as_of_sequence: self.last_sequence_at(at, basis),
        })
    }

    pub(crate) fn statement(
        &self,
        account: AccountId,
        period: &Range<Timestamp>,
        basis: Basis,
    ) -> Option<Statement> {
        self.account(account)?;
        let entries = self.legs_of(account);
        let within = entries.filter(|(one, _)| period.contains(&instant(one, basis)));
        let within: Vec<&Leg> = within.map(|(_, leg)| leg).collect();
        let total = |side| -> (i64, i64) {
            let of_side = within.iter().filter(|leg| leg.direction == side);
            let amounts: Vec<i64> = of_side.map(|leg| leg.amount.minor_units()).collect();
            (amounts.iter().sum(), i64::try_from(amounts.len()).unwrap())
        };
        let ((debits, debit_count), (credits, credit_count)) =
            (total(Side::Debit), total(Side::Credit));
        let just_before_end = Timestamp::from_micros(period.end.as_micros() - 1);
        Some(Statement {
            opening: self.balance_where(account, |one| instant(one, basis) < period.start),
            closing: self.balance_where(account, |one| instant(one, basis) < period.end),
            debits,
            debit_count,
            credits,
            credit_count,
            as_of_sequence: self.last_sequence_at(just_before_end, basis),
        })
    }

    /// Newest first.
    pub(crate) fn entries(&self, account: AccountId) -> Vec<Entry> {
        let mut entries = Vec::new();
        for one in &self.transactions {
            for (place, leg) in (0_i64..).zip(&one.legs) {
                if leg.account_id != account {
                    continue;
                }
                let key = EntryKey::new(one.sequence, place);
                let before = entries.last().map_or(0, |entry: &Entry| entry.balance_after);
                entries.push(Entry {
                    key,
                    transaction_id: one.id,
                    direction: leg.direction,
                    amount: leg.amount,
                    balance_after: before + self.gain(leg),
                    kind: one.kind.clone(),
                    description: one.description.clone(),
                    reference: one.reference.clone(),
                    effective_at: one.effective_at,
                    recorded_at: one.recorded_at,
                });
            }
        }
        entries.reverse();
        entries
    }

    fn balance_where(&self, account: AccountId, counts: impl Fn(&Transaction) -> bool) -> i64 {
        let counted = self.legs_of(account).filter(|(one, _)| counts(one));
        narrow(counted.map(|(_, leg)| i128::from(self.gain(leg))).sum())
    }

    fn legs_of(&self, account: AccountId) -> impl Iterator<Item = (&Transaction, &Leg)> {
        let legs =
            self.transactions.iter().flat_map(|one| one.legs.iter().map(move |leg| (one, leg)));
        legs.filter(move |(_, leg)| leg.account_id == account)
    }

    /// What a leg adds to its account's balance.
    fn gain(&self, leg: &Leg) -> i64 {
        let is_gain = leg.direction == self.accounts[&leg.account_id].new.normal_side;
        if is_gain { leg.amount.minor_units() } else { -leg.amount.minor_units() }
    }

    fn last_sequence_at(&self, at: Timestamp, basis: Basis) -> i64 {
        match basis {
            Basis::Effective => self.last_sequence(),
            Basis::Recorded => {
                let until = self.records.iter().filter(|recorded_at| **recorded_at <= at);
                i64::try_from(until.count()).unwrap()
            }
        }
    }
}

fn instant(transaction: &Transaction, basis: Basis) -> Timestamp {
    match basis {
        Basis::Effective => transaction.effective_at,
        Basis::Recorded => transaction.recorded_at,
    }
}
