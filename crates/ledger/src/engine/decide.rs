//! What comes of each command: pure decisions on what was loaded, in order, without I/O.
//!
//! A refused command leaves the working set as it was, so the next one of the group is decided as if the
//! refused one had never come. What may have to be taken back after all, a batch or a dry run, is noted
//! while it is applied ([`Undo`]).

use super::{Command, Outcome};
use kernel::{Currency, Money, Timestamp};
use ledger_api::{
    Account, AccountId, AccountStatus, Balances, Constraint, DESCRIPTION_CHARS_MAX, KIND_CHARS_MAX,
    LEGS_MAX, Leg, NAME_CHARS_MAX, NewAccount, NewReversal, NewTransaction, REFERENCE_CHARS_MAX,
    REVERSAL_KIND, Recorded, Refusal, Side, StatusChange, Transaction, TransactionId,
};
use std::collections::{BTreeMap, HashMap};

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

/// A change of an account's status as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewChange {
    pub(super) sequence: i64,
    pub(super) account_sequence: i64,
    pub(super) status: AccountStatus,
    pub(super) reason: String,
    pub(super) changed_at: Timestamp,
}

/// What a group works on, and what it leaves to be written.
#[derive(Debug)]
pub(super) struct WorkingSet {
    pub(super) head: Head,
    /// Accounts that the group touches and that exist.
    pub(super) accounts: HashMap<AccountId, AccountState>,
    /// Accounts that the group wants to open or change, as far as they exist.
    pub(super) existing_accounts: HashMap<AccountId, Account>,
    /// Transactions with an id that the group wants to post.
    pub(super) existing_transactions: HashMap<TransactionId, Transaction>,
    pub(super) new_accounts: Vec<(i64, Account)>,
    pub(super) new_changes: Vec<NewChange>,
    pub(super) new_transactions: Vec<TransactionId>,
    pub(super) new_entries: Vec<NewEntry>,
    /// How much of each transaction that the group wants to reverse was reversed before, in minor units of
    /// the first leg.
    pub(super) reversed: HashMap<TransactionId, i64>,
    /// What to put back, newest last, while something may have to be undone.
    undo: Option<Vec<Undo>>,
    now: Timestamp,
    recorded_at: Timestamp,
}

/// One change of the working set, as it was before.
#[derive(Clone, Copy, Debug)]
enum Undo {
    Balances { account: AccountId, before: Balances, changed: bool },
    Reversed { original: TransactionId, before: i64 },
    Status { account: AccountId, before: AccountStatus },
    Transaction(TransactionId),
    Account(AccountId),
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
            new_changes: Vec::new(),
            new_transactions: Vec::new(),
            new_entries: Vec::new(),
            reversed: HashMap::new(),
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
            Command::Post(transaction) => self.post(transaction).map(Outcome::Posted),
            Command::Reverse(reversal) => self.reverse(reversal).map(Outcome::Posted),
            Command::PostAll(batch) => self.post_all(batch).map(Outcome::PostedAll),
            Command::PostEach(batch) => {
                Ok(Outcome::PostedEach(batch.iter().map(|one| self.post(one)).collect()))
            }
            Command::DryRun(command) => self.apart(|set| set.decide(command), |_| false),
        }
    }

    /// Does something that may have to be undone: it is unless `keep` says otherwise. May be nested.
    fn apart<T>(&mut self, work: impl FnOnce(&mut Self) -> T, keep: impl FnOnce(&T) -> bool) -> T {
        let is_outermost = self.undo.is_none();
        let (head, entries) = (self.head, self.new_entries.len());
        let mark = self.undo.get_or_insert_default().len();
        let result = work(self);
        if !keep(&result) {
            let changes = self.undo.as_mut().map(|undo| undo.split_off(mark)).unwrap_or_default();
            changes.into_iter().rev().for_each(|change| self.put_back(change));
            self.head = head;
            self.new_entries.truncate(entries);
        }
        if is_outermost {
            self.undo = None;
        }
        result
    }

    fn put_back(&mut self, change: Undo) {
        match change {
            Undo::Balances { account, before, changed } => {
                if let Some(state) = self.accounts.get_mut(&account) {
                    state.balances = before;
                    state.changed = changed;
                }
            }
            Undo::Reversed { original, before } => {
                self.reversed.insert(original, before);
            }
            Undo::Status { account, before } => {
                if let Some(state) = self.accounts.get_mut(&account) {
                    state.status = before;
                }
                self.new_changes.pop();
            }
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

    fn note(&mut self, change: Undo) {
        if let Some(undo) = &mut self.undo {
            undo.push(change);
        }
    }

    /// Whether there is anything to write.
    pub(super) fn is_changed(&self) -> bool {
        !self.new_accounts.is_empty()
            || !self.new_changes.is_empty()
            || !self.new_transactions.is_empty()
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
        self.note(Undo::Account(new.id));
        Ok(Recorded { record: account, replayed: false })
    }

    /// An account that was loaded, with what this group has done to it since.
    fn as_of_now(&self, loaded: &Account) -> Account {
        let mut account = loaded.clone();
        if let Some(state) = self.accounts.get(&loaded.id) {
            account.balances = state.balances;
            account.status = state.status;
        }
        account
    }

    fn change_status(&mut self, change: &StatusChange) -> Result<Recorded<Account>, Refusal> {
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
        let state = self.accounts.get_mut(&change.account).ok_or_else(unknown)?;
        state.status = to;
        self.new_changes.push(NewChange {
            sequence,
            account_sequence: state.sequence,
            status: to,
            reason: change.reason.clone(),
            changed_at: self.recorded_at,
        });
        self.note(Undo::Status { account: change.account, before: from });
        Ok(Recorded { record: Account { status: to, ..account }, replayed: false })
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
        let posting = Posting {
            id: new.id,
            kind: &new.kind,
            description: new.description.as_deref(),
            reference: new.reference.as_deref(),
            effective_at: new.effective_at,
            metadata: new.metadata.clone(),
            legs: new.legs.clone(),
            reverses: None,
        };
        Ok(Recorded { record: self.apply(posting)?, replayed: false })
    }

    /// All of a batch or nothing.
    fn post_all(
        &mut self,
        batch: &[NewTransaction],
    ) -> Result<Vec<Recorded<Transaction>>, Refusal> {
        let post = |set: &mut Self| {
            let posted = batch.iter().enumerate().map(|(index, new)| {
                let refused = |refusal| Refusal::InBatch { index, refusal: Box::new(refusal) };
                set.post(new).map_err(refused)
            });
            posted.collect::<Result<Vec<_>, _>>()
        };
        self.apart(post, Result::is_ok)
    }

    fn reverse(&mut self, new: &NewReversal) -> Result<Recorded<Transaction>, Refusal> {
        if let Some(existing) = self.existing_transactions.get(&new.id) {
            // Whoever asked for all that was left has left nothing.
            let is_other = new.minor_units.is_none() && !self.is_reversed_whole(new.original);
            if is_other || !existing.is_reversal_asked_by(new) {
                return Err(Refusal::IdReused);
            }
            return Ok(Recorded { record: existing.clone(), replayed: true });
        }
        check_text("reason", &new.reason, 1, DESCRIPTION_CHARS_MAX)?;
        let original = self.existing_transactions.get(&new.original);
        let original = original.ok_or(Refusal::OriginalNotFound { original: new.original })?;
        let before = self.reversed.get(&new.original).copied().unwrap_or(0);
        let (legs, taken) = reversed_legs(original, before, new.minor_units)?;
        let posting = Posting {
            id: new.id,
            kind: REVERSAL_KIND,
            description: Some(&new.reason),
            reference: None,
            effective_at: None,
            metadata: BTreeMap::new(),
            legs,
            reverses: Some(new.original),
        };
        let transaction = self.apply(posting)?;
        self.note(Undo::Reversed { original: new.original, before });
        self.reversed.insert(new.original, before.saturating_add(taken));
        Ok(Recorded { record: transaction, replayed: false })
    }

    fn is_reversed_whole(&self, id: TransactionId) -> bool {
        let first = self.existing_transactions.get(&id).and_then(|one| one.legs.first());
        first.map(|leg| leg.amount.minor_units()) == self.reversed.get(&id).copied()
    }

    /// Checks legs, balances and constraints, and applies the posting.
    fn apply(&mut self, posting: Posting<'_>) -> Result<Transaction, Refusal> {
        check_shape(&posting.legs)?;
        check_sums(&posting.legs)?;
        let after = self.balances_after(&posting.legs)?;
        self.check_constraints(&posting.legs, &after)?;
        Ok(self.record(posting, &after))
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

    /// Writes an accepted posting into the set.
    fn record(&mut self, posting: Posting<'_>, after: &[Balances]) -> Transaction {
        let transaction = Transaction {
            id: posting.id,
            sequence: self.next_sequence(),
            kind: posting.kind.to_owned(),
            description: posting.description.map(str::to_owned),
            reference: posting.reference.map(str::to_owned),
            effective_at: posting.effective_at.unwrap_or(self.recorded_at),
            recorded_at: self.recorded_at,
            metadata: posting.metadata,
            legs: posting.legs,
            reverses: posting.reverses,
        };
        for (leg_no, (leg, balances)) in (0_i64..).zip(transaction.legs.iter().zip(after)) {
            let account = leg.account_id;
            let Some(state) = self.accounts.get_mut(&account) else { continue };
            let change = Undo::Balances { account, before: state.balances, changed: state.changed };
            state.balances = *balances;
            state.changed = true;
            self.new_entries.push(NewEntry {
                transaction_sequence: transaction.sequence,
                leg_no,
                account_sequence: state.sequence,
                amount: signed(leg.direction, leg.amount.minor_units()),
                balance_after: balances.posted(state.normal_side),
            });
            self.note(change);
        }
        self.existing_transactions.insert(transaction.id, transaction.clone());
        self.new_transactions.push(transaction.id);
        self.note(Undo::Transaction(transaction.id));
        transaction
    }
}

/// What a transaction or a reversal asks to have posted.
struct Posting<'a> {
    id: TransactionId,
    kind: &'a str,
    description: Option<&'a str>,
    reference: Option<&'a str>,
    effective_at: Option<Timestamp>,
    metadata: BTreeMap<String, String>,
    legs: Vec<Leg>,
    reverses: Option<TransactionId>,
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

/// The legs that take back `asked` of a transaction of which `before` was taken back already, both in
/// minor units of the first leg; and how much that is.
fn reversed_legs(
    original: &Transaction,
    before: i64,
    asked: Option<i64>,
) -> Result<(Vec<Leg>, i64), Refusal> {
    if original.reverses.is_some() {
        return Err(Refusal::OriginalIsReversal);
    }
    let whole = original.legs.first().map_or(0, |leg| leg.amount.minor_units());
    let left = whole.saturating_sub(before);
    let taken = asked.unwrap_or(left);
    if taken > left || left <= 0 {
        return Err(Refusal::ReversalExceedsOriginal { left, asked: asked.unwrap_or(whole) });
    }
    if taken != whole && original.legs.len() > 2 {
        return Err(Refusal::PartialReversalOfManyLegs);
    }
    let reversed = original.legs.iter().map(|leg| {
        // With two legs both have the same amount, and so has the part; with more it is the whole.
        let minor_units = if taken == whole { leg.amount.minor_units() } else { taken };
        let amount = Money::new(minor_units, leg.amount.currency());
        Leg { direction: leg.direction.opposite(), amount, ..*leg }
    });
    Ok((reversed.collect(), taken))
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
