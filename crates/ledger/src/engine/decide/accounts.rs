//! Opening and changing accounts.

use super::checks::{check_limits, check_text};
use super::{LimitedAccount, NewChange, NewLimitChange, Undo, WorkingSet};
use kernel::{Currency, Money};
use ledger_api::{
    Account, AccountStatus, Balances, Constraint, DESCRIPTION_CHARS_MAX, LimitChange, LimitsInUse,
    NAME_CHARS_MAX, NewAccount, Recorded, Refusal, Side, StatusChange,
};

/// An account as postings see it.
#[derive(Clone, Debug)]
pub(in crate::engine) struct AccountState {
    pub(in crate::engine) sequence: i64,
    pub(in crate::engine) currency: Currency,
    pub(in crate::engine) normal_side: Side,
    pub(in crate::engine) status: AccountStatus,
    pub(in crate::engine) lowest_available: Option<i64>,
    pub(in crate::engine) standing: Standing,
    /// Its limits, once it was given any.
    pub(in crate::engine) limited: Option<Box<LimitedAccount>>,
}

/// What postings change of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Standing {
    pub(in crate::engine) balances: Balances,
    /// The key of its newest entry.
    pub(in crate::engine) last_entry: Option<i64>,
    /// The newest hold with a leg on it.
    pub(in crate::engine) last_hold: Option<i64>,
    /// How many entries it has.
    pub(in crate::engine) entry_count: i64,
    /// Whether this group changed it.
    pub(in crate::engine) changed: bool,
}

impl WorkingSet {
    pub(super) fn open_account(&mut self, new: &NewAccount) -> Result<Recorded<Account>, Refusal> {
        let lowest_available = new.constraint.lowest_available();
        if let Some(existing) = self.existing_accounts.get(&new.id) {
            let same = existing.name == new.name
                && existing.currency == new.currency
                && existing.normal_side == new.normal_side
                && existing.constraint.lowest_available() == lowest_available;
            if !same {
                return Err(Refusal::IdReused);
            }
            return Ok(Recorded { record: self.as_of_now(existing), replayed: true });
        }
        check_text("name", &new.name, 1, NAME_CHARS_MAX)?;
        if lowest_available.is_some_and(|lowest| lowest > 0) {
            return Err(Refusal::CreditLimitNegative);
        }
        let sequence = self.next_sequence();
        let account = Account {
            id: new.id,
            name: new.name.clone(),
            currency: new.currency,
            normal_side: new.normal_side,
            // A credit limit of zero is stored, and so answered, as no credit.
            constraint: Constraint::from_lowest_available(lowest_available),
            status: AccountStatus::Open,
            opened_at: self.recorded_at,
            balances: Balances::default(),
        };
        self.accounts.insert(new.id, AccountState::opened(sequence, &account));
        self.existing_accounts.insert(new.id, account.clone());
        self.new_accounts.push((sequence, account.clone()));
        self.note(|| Undo::Account(new.id));
        Ok(Recorded { record: account, replayed: false })
    }

    /// An account that was loaded, with what this group has done to it since.
    fn as_of_now(&self, loaded: &Account) -> Account {
        let mut account = loaded.clone();
        if let Some(state) = self.accounts.get(&loaded.id) {
            account.balances = state.standing.balances;
            account.status = state.status;
        }
        account
    }

    pub(super) fn change_status(
        &mut self,
        change: &StatusChange,
    ) -> Result<Recorded<Account>, Refusal> {
        check_text("reason", &change.reason, 1, DESCRIPTION_CHARS_MAX)?;
        let unknown = || Refusal::AccountUnknown { account: change.account };
        let loaded = self.existing_accounts.get(&change.account).ok_or_else(unknown)?;
        let account = self.as_of_now(loaded);
        let (from, to) = (account.status, change.to);
        if from == to {
            return Ok(Recorded { record: account, replayed: true });
        }
        if from == AccountStatus::Closed {
            return Err(Refusal::StatusNotReachable { from, to });
        }
        if to == AccountStatus::Closed && !account.balances.is_empty() {
            let balance = Money::new(account.posted(), account.currency);
            return Err(Refusal::AccountNotEmpty { balance });
        }
        let sequence = self.next_sequence();
        let changed_at = self.recorded_at;
        let state = self.accounts.get_mut(&change.account).ok_or_else(unknown)?;
        state.status = to;
        let account_sequence = state.sequence;
        let reason = change.reason.clone();
        self.new_changes.push(NewChange {
            sequence,
            account_sequence,
            status: to,
            reason,
            changed_at,
        });
        self.note(|| Undo::Status { account: change.account, before: from });
        Ok(Recorded { record: Account { status: to, ..account }, replayed: false })
    }

    /// The limits that an account has already are not set again: nothing is recorded.
    pub(super) fn set_limits(&mut self, change: &LimitChange) -> Result<LimitsInUse, Refusal> {
        check_limits(&change.limits)?;
        let (account, now) = (change.account, self.recorded_at);
        let state = self.accounts.get(&account).ok_or(Refusal::AccountUnknown { account })?;
        if let Some(limited) = &state.limited
            && limited.limits == change.limits
        {
            return Ok(limited.in_use(now));
        }
        let (before, account_sequence) = (state.limited.clone(), state.sequence);
        let sequence = self.next_sequence();
        let limited = LimitedAccount::changed(before.as_deref(), &change.limits, now, sequence);
        let in_use = limited.in_use(now);
        self.with_account(account, |state| state.limited = Some(Box::new(limited)));
        let limits = change.limits.clone();
        self.new_limit_changes.push(NewLimitChange {
            sequence,
            account_sequence,
            limits,
            changed_at: now,
        });
        self.note(|| Undo::Limits { account, before });
        self.note(|| Undo::LimitChange);
        Ok(in_use)
    }
}

impl AccountState {
    /// The account once what this group changed is stored.
    pub(in crate::engine) fn settled(mut self) -> Self {
        self.standing.changed = false;
        for usage in self.limited.iter_mut().flat_map(|limited| &mut limited.usages) {
            usage.changed = false;
        }
        self
    }

    fn opened(sequence: i64, account: &Account) -> Self {
        Self {
            sequence,
            currency: account.currency,
            normal_side: account.normal_side,
            status: account.status,
            lowest_available: account.constraint.lowest_available(),
            standing: Standing { balances: account.balances, ..Standing::default() },
            limited: None,
        }
    }
}
