//! What comes of each command: pure decisions on what was loaded, in order, without I/O.
//!
//! A refused command leaves the working set as it was, so the next one of the group is decided as if the
//! refused one had never come.

use super::{Command, Outcome};
use kernel::{Currency, Money, Timestamp};
use ledger_api::{
    Account, AccountId, AccountStatus, Balances, Constraint, DESCRIPTION_CHARS_MAX, KIND_CHARS_MAX,
    LEGS_MAX, Leg, NAME_CHARS_MAX, NewAccount, NewTransaction, REFERENCE_CHARS_MAX, Recorded,
    Refusal, Side, Transaction, TransactionId,
};
use std::collections::HashMap;

/// The end of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) last_sequence: i64,
    pub(super) last_recorded_at: Timestamp,
}

/// An account as postings see it.
#[derive(Clone, Debug)]
pub(super) struct AccountState {
    pub(super) sequence: i64,
    pub(super) currency: Currency,
    pub(super) normal_side: Side,
    pub(super) status: AccountStatus,
    pub(super) lowest_available: Option<i64>,
    pub(super) balances: Balances,
    /// Whether a posting of this group changed it.
    pub(super) changed: bool,
}

/// A leg as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewEntry {
    pub(super) transaction_sequence: i64,
    pub(super) leg_no: i64,
    pub(super) account_sequence: i64,
    /// Positive for a debit.
    pub(super) amount: i64,
    pub(super) balance_after: i64,
}

/// What a group works on, and what it leaves to be written.
#[derive(Debug)]
pub(super) struct WorkingSet {
    pub(super) head: Head,
    /// Accounts that the group touches and that exist.
    pub(super) accounts: HashMap<AccountId, AccountState>,
    /// Accounts with an id that the group wants to open.
    pub(super) existing_accounts: HashMap<AccountId, Account>,
    /// Transactions with an id that the group wants to post.
    pub(super) existing_transactions: HashMap<TransactionId, Transaction>,
    pub(super) new_accounts: Vec<(i64, Account)>,
    pub(super) new_transactions: Vec<TransactionId>,
    pub(super) new_entries: Vec<NewEntry>,
    now: Timestamp,
    recorded_at: Timestamp,
}

impl WorkingSet {
    /// `now` is the group's instant; the journal's time never runs backwards, whatever the clock does.
    pub(super) fn new(head: Head, now: Timestamp) -> Self {
        Self {
            head,
            accounts: HashMap::new(),
            existing_accounts: HashMap::new(),
            existing_transactions: HashMap::new(),
            new_accounts: Vec::new(),
            new_transactions: Vec::new(),
            new_entries: Vec::new(),
            now,
            recorded_at: now.max(head.last_recorded_at),
        }
    }

    /// Decides one command and applies it to the set unless it is refused.
    pub(super) fn decide(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        match command {
            Command::OpenAccount(account) => self.open_account(account).map(Outcome::Opened),
            Command::Post(transaction) => self.post(transaction).map(Outcome::Posted),
        }
    }

    /// Whether there is anything to write.
    pub(super) fn is_changed(&self) -> bool {
        !self.new_accounts.is_empty() || !self.new_transactions.is_empty()
    }

    /// The transactions to write, in order.
    pub(super) fn transactions_to_write(&self) -> impl Iterator<Item = &Transaction> {
        self.new_transactions.iter().filter_map(|id| self.existing_transactions.get(id))
    }

    /// The accounts whose counters changed. An account opened by this group is among them if something
    /// was posted to it.
    pub(super) fn changed_accounts(&self) -> impl Iterator<Item = &AccountState> {
        self.accounts.values().filter(|account| account.changed)
    }

    fn next_sequence(&mut self) -> i64 {
        // 2^63 records are out of reach.
        self.head.last_sequence = self.head.last_sequence.saturating_add(1);
        self.head.last_recorded_at = self.recorded_at;
        self.head.last_sequence
    }

    fn open_account(&mut self, new: &NewAccount) -> Result<Recorded<Account>, Refusal> {
        let lowest_available = new.constraint.lowest_available();
        if let Some(existing) = self.existing_accounts.get(&new.id) {
            let same = existing.name == new.name
                && existing.currency == new.currency
                && existing.normal_side == new.normal_side
                && existing.constraint.lowest_available() == lowest_available;
            if !same {
                return Err(Refusal::IdReused);
            }
            let mut record = existing.clone();
            // Something may have been posted to it earlier in this group.
            if let Some(state) = self.accounts.get(&new.id) {
                record.balances = state.balances;
            }
            return Ok(Recorded { record, replayed: true });
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
        Ok(Recorded { record: account, replayed: false })
    }

    fn post(&mut self, new: &NewTransaction) -> Result<Recorded<Transaction>, Refusal> {
        if let Some(existing) = self.existing_transactions.get(&new.id) {
            if !existing.has_content_of(new) {
                return Err(Refusal::IdReused);
            }
            return Ok(Recorded { record: existing.clone(), replayed: true });
        }
        // By this machine's clock, which set the deadline: the journal's time may be ahead of it.
        if let Some(deadline) = new.not_after
            && self.now > deadline
        {
            return Err(Refusal::DeadlinePassed { deadline });
        }
        check_texts(new)?;
        check_shape(&new.legs)?;
        check_sums(&new.legs)?;
        let after = self.balances_after(&new.legs)?;
        self.check_constraints(&new.legs, &after)?;
        Ok(Recorded { record: self.record(new, &after), replayed: false })
    }

    /// The account of each leg, if all are there and take it.
    fn accounts_of(&self, legs: &[Leg]) -> Result<Vec<&AccountState>, Refusal> {
        let mut states = Vec::with_capacity(legs.len());
        for (leg, one) in legs.iter().enumerate() {
            let account = one.account_id;
            let state = self.accounts.get(&account);
            states.push(state.ok_or(Refusal::AccountNotFound { leg, account })?);
        }
        for (leg, (one, state)) in legs.iter().zip(&states).enumerate() {
            if state.currency != one.amount.currency() {
                let (account, held) = (one.account_id, state.currency);
                return Err(Refusal::CurrencyMismatch { leg, account, held });
            }
        }
        for (leg, (one, state)) in legs.iter().zip(&states).enumerate() {
            if state.status != AccountStatus::Open {
                let (account, status) = (one.account_id, state.status);
                return Err(Refusal::AccountNotOpen { leg, account, status });
            }
        }
        Ok(states)
    }

    /// The balances of each account after each leg, without changing anything yet.
    fn balances_after(&self, legs: &[Leg]) -> Result<Vec<Balances>, Refusal> {
        let states = self.accounts_of(legs)?;
        let mut after: Vec<Balances> = Vec::with_capacity(legs.len());
        for (leg, (one, state)) in legs.iter().zip(states).enumerate() {
            let account = one.account_id;
            // An account may stand on several legs: go on from where it stood last.
            let before = legs[..leg]
                .iter()
                .rposition(|earlier| earlier.account_id == account)
                .map_or(state.balances, |earlier| after[earlier]);
            after.push(
                add(before, one.direction, one.amount.minor_units())
                    .ok_or(Refusal::BalanceOverflow { leg, account })?,
            );
        }
        Ok(after)
    }

    /// No account may be taken below its constraint. What counts is where the whole transaction leaves
    /// it; an account that gains is never refused, even while it is still too low.
    fn check_constraints(&self, legs: &[Leg], after: &[Balances]) -> Result<(), Refusal> {
        for (leg, one) in legs.iter().enumerate() {
            let account = one.account_id;
            let is_last_of_account =
                legs[leg..].iter().skip(1).all(|later| later.account_id != account);
            let Some(state) = self.accounts.get(&account).filter(|_| is_last_of_account) else {
                continue;
            };
            let Some(lowest) = state.lowest_available else { continue };
            let available = state.balances.available(state.normal_side);
            let left = after[leg].available(state.normal_side);
            if left < available && left < lowest {
                let money = |minor_units| Money::new(minor_units, state.currency);
                return Err(Refusal::InsufficientFunds {
                    account,
                    available: money(available.saturating_sub(lowest).max(0)),
                    required: money(available.saturating_sub(left)),
                });
            }
        }
        Ok(())
    }

    /// Writes an accepted transaction into the set.
    fn record(&mut self, new: &NewTransaction, after: &[Balances]) -> Transaction {
        let transaction = Transaction {
            id: new.id,
            sequence: self.next_sequence(),
            kind: new.kind.clone(),
            description: new.description.clone(),
            reference: new.reference.clone(),
            effective_at: new.effective_at.unwrap_or(self.recorded_at),
            recorded_at: self.recorded_at,
            metadata: new.metadata.clone(),
            legs: new.legs.clone(),
        };
        for (leg_no, (leg, balances)) in (0_i64..).zip(new.legs.iter().zip(after)) {
            let Some(state) = self.accounts.get_mut(&leg.account_id) else { continue };
            state.balances = *balances;
            state.changed = true;
            self.new_entries.push(NewEntry {
                transaction_sequence: transaction.sequence,
                leg_no,
                account_sequence: state.sequence,
                amount: signed(leg.direction, leg.amount.minor_units()),
                balance_after: balances.posted(state.normal_side),
            });
        }
        self.existing_transactions.insert(new.id, transaction.clone());
        self.new_transactions.push(new.id);
        transaction
    }
}

impl AccountState {
    fn opened(sequence: i64, account: &Account) -> Self {
        Self {
            sequence,
            currency: account.currency,
            normal_side: account.normal_side,
            status: account.status,
            lowest_available: account.constraint.lowest_available(),
            balances: account.balances,
            changed: false,
        }
    }
}

/// The amount as an entry stores it: positive for a debit. Amounts are above zero, so it cannot overflow.
fn signed(direction: Side, minor_units: i64) -> i64 {
    match direction {
        Side::Debit => minor_units,
        Side::Credit => 0_i64.saturating_sub(minor_units),
    }
}

fn add(balances: Balances, direction: Side, minor_units: i64) -> Option<Balances> {
    let Balances { posted_debits, posted_credits, .. } = balances;
    Some(match direction {
        Side::Debit => {
            Balances { posted_debits: posted_debits.checked_add(minor_units)?, ..balances }
        }
        Side::Credit => {
            Balances { posted_credits: posted_credits.checked_add(minor_units)?, ..balances }
        }
    })
}

fn check_texts(new: &NewTransaction) -> Result<(), Refusal> {
    let description = new.description.as_deref().unwrap_or_default();
    let reference = new.reference.as_deref().unwrap_or_default();
    check_text("kind", &new.kind, 1, KIND_CHARS_MAX)?;
    check_text("description", description, 0, DESCRIPTION_CHARS_MAX)?;
    check_text("reference", reference, 0, REFERENCE_CHARS_MAX)
}

/// The database would refuse such a text as well, but with it the whole group.
fn check_text(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), Refusal> {
    if (min..=max).contains(&text.chars().count()) && !text.contains('\0') {
        return Ok(());
    }
    Err(Refusal::TextInvalid { field, min, max })
}

fn check_shape(legs: &[Leg]) -> Result<(), Refusal> {
    if !(2..=LEGS_MAX).contains(&legs.len()) {
        return Err(Refusal::LegCount { count: legs.len() });
    }
    match legs.iter().position(|leg| leg.amount.minor_units() <= 0) {
        Some(leg) => Err(Refusal::AmountNotPositive { leg }),
        None => Ok(()),
    }
}

fn check_sums(legs: &[Leg]) -> Result<(), Refusal> {
    // Few currencies meet in one transaction: a list is faster than a map.
    let mut sums: Vec<(Currency, i128, i128)> = Vec::with_capacity(2);
    for leg in legs {
        let currency = leg.amount.currency();
        let at = sums.iter().position(|(known, ..)| *known == currency).unwrap_or_else(|| {
            sums.push((currency, 0, 0));
            sums.len().saturating_sub(1)
        });
        let sum = match leg.direction {
            Side::Debit => &mut sums[at].1,
            Side::Credit => &mut sums[at].2,
        };
        // At most LEGS_MAX amounts of 63 bits each.
        *sum = sum.saturating_add(i128::from(leg.amount.minor_units()));
    }
    match sums.into_iter().find(|(_, debits, credits)| debits != credits) {
        Some((currency, debits, credits)) => Err(Refusal::Unbalanced { currency, debits, credits }),
        None => Ok(()),
    }
}
