//! Does the ledger still add up? Everything is derived again from the journal and compared.
//!
//! 1. The journal is whole: every number from 1 to the last is exactly one record (an account, a change of
//!    its status or limits, a hold, the end of one, a transaction), made no earlier than the one before
//!    and when the group it belongs to says.
//! 2. Every transaction has at least two legs and sums to zero in each currency.
//! 3. Every entry's running balance is the one before it plus its amount, and it names that one; every 64th
//!    of an account is marked.
//! 4. Every account's counters are the sums of its entries and pending holds, its status and limits are
//!    those of its last change, and its constraint holds. A status only becomes another, and closed is
//!    final.
//! 5. Every reversal has the legs of an earlier transaction, which is none itself, with the sides
//!    exchanged; all reversals of a transaction together are no more than it was.
//! 6. Every hold sums to zero in each currency and stands where its captures and its end put it, with no more captured than it and its
//!    tolerance allow.

mod holds;
mod repo;

use crate::engine::ENTRIES_PER_MARK;
use crate::journal::encode::{AccountRow, status_word};
use holds::Holds;
use kernel::Currency;
use ledger_api::{AccountStatus, Balances, EntryKey, Side};
use repo::{
    ChangeRow, EntryRow, LimitChangeRow, ListRow, MarkRow, RecordRow, ReversalRow, Snapshot,
    StrayRow,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use store::{Store, StoreError};

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many accounts were checked.
    pub accounts: u64,
    /// How many transactions were checked.
    pub transactions: u64,
    /// How many entries were checked.
    pub entries: u64,
    /// What is wrong; empty for a sound ledger. At most 1,000 are kept. One wrong row often shows in
    /// several places.
    pub findings: Vec<Finding>,
    /// How many findings there were in all.
    pub findings_total: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The journal sequence number that it is about.
    pub sequence: i64,
    /// What is wrong.
    pub what: String,
}

/// The most findings that a report lists.
const FINDINGS_MAX: usize = 1_000;

/// The most rows outside the journal that are looked for: each is a finding.
const STRAYS_MAX: i64 = 1_000;

/// Journal numbers read at a time.
const STEP: i64 = 5_000;

/// An account while its entries are folded.
struct Folded {
    currency: Currency,
    normal_side: Side,
    lowest_available: Option<i64>,
    stored: Balances,
    derived: Balances,
    stored_status: &'static str,
    derived_status: String,
    stored_list: (Option<i64>, i64),
    derived_list: (Option<i64>, i64),
    stored_limits: Option<String>,
    derived_limits: Option<String>,
    /// How many marks there should be, and their keys mixed.
    marks: (i64, i64),
}

#[derive(Default)]
struct Verification {
    accounts: HashMap<i64, Folded>,
    /// What was taken back of each transaction, in minor units of the first leg.
    reversed: HashMap<i64, u128>,
    holds: Holds,
    /// When the last record so far was made.
    recorded_at: i64,
    report: Report,
}

pub(crate) async fn verify(
    store: &Store,
    mut progress: impl FnMut(i64, i64) + Send,
) -> Result<Report, StoreError> {
    let snapshot = Snapshot::take(store).await?;
    let mut verification = Verification::default();
    let last = snapshot.last_sequence().await?;
    let mut first = 1;
    while first <= last {
        let end = first.saturating_add(STEP).saturating_sub(1).min(last);
        let accounts = snapshot.accounts(first, end).await?;
        let changes = snapshot.changes(first, end).await?;
        let limit_changes = snapshot.limit_changes(first, end).await?;
        let lists = snapshot.lists(first, end).await?;
        let holds = snapshot.holds(first, end).await?;
        let hold_changes = snapshot.hold_changes(first, end).await?;
        let transactions = snapshot.transactions(first, end).await?;
        let entries = snapshot.entries(first, end).await?;
        let made = |sequence, recorded_at| RecordRow { sequence, recorded_at };
        let mut records: Vec<RecordRow> = transactions.clone();
        records.extend(accounts.iter().map(|row| made(row.sequence, row.opened_at)));
        records.extend(changes.iter().map(|row| made(row.sequence, row.changed_at)));
        records.extend(limit_changes.iter().map(|row| made(row.sequence, row.changed_at)));
        records.extend(holds.iter().map(|row| made(row.sequence, row.created_at)));
        records.extend(hold_changes.iter().map(|row| made(row.sequence, row.changed_at)));
        let groups = snapshot.groups(first, end).await?;
        verification.check_records((first, end), records, &groups);
        verification.add_accounts(accounts, lists);
        changes.into_iter().for_each(|row| verification.check_change(row));
        limit_changes.into_iter().for_each(|row| verification.check_limit_change(row));
        verification.check_transactions(&transactions, &entries);
        verification.check_reversals(snapshot.reversals(first, end).await?);
        let legs = snapshot.hold_legs(first, end).await?;
        let accounts = &verification.accounts;
        let currency_of = |account| accounts.get(&account).map(|account| account.currency);
        let found = verification.holds.add(holds, &legs, currency_of);
        verification.find_all(found);
        let captures = snapshot.captures(first, end).await?;
        let found = verification.holds.change(captures, hold_changes);
        verification.find_all(found);
        progress(end, last);
        first = end.saturating_add(1);
    }
    verification.check_marks(&snapshot).await?;
    verification.check_strays(snapshot.strays(last, STRAYS_MAX).await?);
    verification.check_balances();
    Ok(verification.report)
}

impl Verification {
    fn check_transactions(&mut self, transactions: &[RecordRow], entries: &[EntryRow]) {
        let number = |entry: &EntryRow| EntryKey(entry.entry_key).parts().0;
        for legs in entries.chunk_by(|one, next| number(one) == number(next)) {
            let transaction = number(&legs[0]);
            if transactions.binary_search_by_key(&transaction, |row| row.sequence).is_err() {
                self.find(transaction, "entries of no transaction".into());
            }
            self.check_entries(transaction, legs);
        }
        let with_entries: HashSet<i64> = entries.iter().map(number).collect();
        for &RecordRow { sequence, .. } in transactions {
            self.report.transactions = self.report.transactions.saturating_add(1);
            if !with_entries.contains(&sequence) {
                self.find(sequence, "a transaction without entries".into());
            }
        }
    }

    fn add_accounts(&mut self, accounts: Vec<AccountRow>, lists: Vec<ListRow>) {
        for row in accounts {
            self.add_account(row);
        }
        for row in lists {
            if let Some(account) = self.accounts.get_mut(&row.account_sequence) {
                account.stored_list = (row.last_entry, row.entry_count);
                account.stored_limits = row.limits;
            }
        }
    }

    fn check_limit_change(&mut self, row: LimitChangeRow) {
        match self.accounts.get_mut(&row.account_sequence) {
            Some(account) => account.derived_limits = Some(row.limits),
            None => self.find(row.sequence, "limits of an account that is not there".into()),
        }
    }

    /// Every 64th entry of an account is marked, and no other.
    async fn check_marks(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let mut after = MarkRow { account_sequence: i64::MIN, entry_key: i64::MIN };
        loop {
            let marks = snapshot.marks(after, STEP).await?;
            for mark in &marks {
                after = *mark;
                match self.accounts.get_mut(&mark.account_sequence) {
                    Some(Folded { marks: (left, mixed), .. }) => {
                        (*left, *mixed) = (left.saturating_sub(1), *mixed ^ mark.entry_key);
                    }
                    None => self.find(mark.account_sequence, "a mark of no account".into()),
                }
            }
            if marks.is_empty() {
                return Ok(());
            }
        }
    }

    fn add_account(&mut self, row: AccountRow) {
        self.report.accounts = self.report.accounts.saturating_add(1);
        let sequence = row.sequence;
        let account = match row.into_account() {
            Ok(account) => account,
            Err(error) => return self.find(sequence, error.to_string()),
        };
        let folded = Folded {
            currency: account.currency,
            normal_side: account.normal_side,
            lowest_available: account.constraint.lowest_available(),
            stored: account.balances,
            derived: Balances::default(),
            stored_status: status_word(account.status),
            derived_status: status_word(AccountStatus::Open).to_owned(),
            stored_list: (None, 0),
            derived_list: (None, 0),
            stored_limits: None,
            derived_limits: None,
            marks: (0, 0),
        };
        self.accounts.insert(sequence, folded);
    }

    fn check_change(&mut self, row: ChangeRow) {
        let Some(account) = self.accounts.get_mut(&row.account_sequence) else {
            return self.find(row.sequence, "a change of an account that is not there".into());
        };
        let from = std::mem::replace(&mut account.derived_status, row.status);
        let to = &account.derived_status;
        if from == *to || from == status_word(AccountStatus::Closed) {
            let what = format!("an account that was {from} became {to}");
            self.find(row.sequence, what);
        }
    }

    /// Each takes back an earlier transaction, and never more than is left of it.
    fn check_reversals(&mut self, reversals: Vec<ReversalRow>) {
        for row in reversals {
            let sequence = row.sequence;
            let earlier = row.original.filter(|original| *original < sequence);
            let (Some(original), None) = (earlier, row.original_reverses) else {
                self.find(sequence, "a reversal of no earlier transaction".into());
                continue;
            };
            if row.legs != row.opposite_legs || row.original_legs != row.opposite_legs {
                self.find(sequence, format!("its legs do not take back those of {original}"));
            }
            let amount = row.amount.unwrap_or_default().unsigned_abs();
            let whole = row.original_amount.unwrap_or_default().unsigned_abs();
            let taken = self.reversed.entry(original).or_default();
            *taken = taken.saturating_add(u128::from(amount));
            let taken = *taken;
            if taken > u128::from(whole) {
                let what = format!("{taken} of the {whole} minor units of {original} taken back");
                self.find(sequence, what);
            }
        }
    }

    /// Every number is there, and once, and time goes on.
    fn check_records(
        &mut self,
        (first, last): (i64, i64),
        mut records: Vec<RecordRow>,
        groups: &[RecordRow],
    ) {
        records.sort_unstable_by_key(|record| record.sequence);
        let mut expected = first;
        for RecordRow { sequence, recorded_at } in records {
            if sequence < expected {
                self.find(sequence, "two records under one number".into());
                continue;
            }
            if sequence > expected {
                let gap = sequence.saturating_sub(expected);
                self.find(expected, format!("{gap} record(s) missing from here on"));
            }
            if recorded_at < self.recorded_at {
                self.find(sequence, "recorded earlier than the record before".into());
            }
            let group = groups.partition_point(|group| group.sequence < sequence);
            if groups.get(group).is_none_or(|group| group.recorded_at != recorded_at) {
                self.find(sequence, "recorded at another instant than its group".into());
            }
            self.recorded_at = recorded_at;
            expected = sequence.saturating_add(1);
        }
        if expected <= last {
            let gap = last.saturating_sub(expected).saturating_add(1);
            self.find(expected, format!("{gap} record(s) missing from here on"));
        }
    }

    /// The legs of one transaction: numbered, at least two, zero in sum, each balance right.
    fn check_entries(&mut self, transaction: i64, legs: &[EntryRow]) {
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        for (leg_no, leg) in (0_i64..).zip(legs) {
            self.report.entries = self.report.entries.saturating_add(1);
            if EntryKey(leg.entry_key).parts().1 != leg_no {
                self.find(transaction, format!("leg {leg_no} is missing"));
            }
            let Some(account) = self.accounts.get_mut(&leg.account_sequence) else {
                let what = format!("leg {leg_no} is on an account that is not opened before it");
                self.find(transaction, what);
                continue;
            };
            let sum = sums.entry(account.currency).or_default();
            *sum = sum.saturating_add(i128::from(leg.amount));
            let counter = if leg.amount > 0 {
                &mut account.derived.posted_debits
            } else {
                &mut account.derived.posted_credits
            };
            *counter = counter.saturating_add(leg.amount.saturating_abs());
            let (previous, count) = account.derived_list;
            let count = count.saturating_add(1);
            account.derived_list = (Some(leg.entry_key), count);
            if count.checked_rem(ENTRIES_PER_MARK) == Some(0) {
                let (marks, mixed) = account.marks;
                account.marks = (marks.saturating_add(1), mixed ^ leg.entry_key);
            }
            let derived = account.derived.posted(account.normal_side);
            if leg.previous != previous {
                let what = format!(
                    "leg {leg_no}: names {:?} before it, is after {previous:?}",
                    leg.previous
                );
                self.find(transaction, what);
            }
            if leg.balance_after != derived {
                let stored = leg.balance_after;
                let what = format!("leg {leg_no}: balance after is {stored}, should be {derived}");
                self.find(transaction, what);
            }
        }
        if legs.len() < 2 {
            self.find(transaction, "fewer than two legs".into());
        }
        for (currency, sum) in sums {
            if sum != 0 {
                let what = format!("debits exceed credits by {sum} minor units of {currency}");
                self.find(transaction, what);
            }
        }
    }

    fn check_strays(&mut self, strays: Vec<StrayRow>) {
        for StrayRow { kind, sequence } in strays {
            self.find(sequence, format!("{kind} outside the journal"));
        }
    }

    /// The counters of every account are the sums of its entries, and its constraint holds.
    fn check_balances(&mut self) {
        let (pending, mut findings) = std::mem::take(&mut self.holds).end();
        for (&sequence, account) in &mut self.accounts {
            if let Some(pending) = pending.get(&sequence) {
                account.derived.pending_debits = pending.pending_debits;
                account.derived.pending_credits = pending.pending_credits;
            }
            if account.stored_list != account.derived_list {
                let (stored, derived) = (account.stored_list, account.derived_list);
                let what = format!("its list ends at {stored:?}, its entries at {derived:?}");
                findings.push(Finding { sequence, what });
            }
            if account.stored_limits != account.derived_limits {
                let what = "its limits are not those of their last change".to_owned();
                findings.push(Finding { sequence, what });
            }
            if account.marks != (0, 0) {
                let what = "the marks of its list are not every 64th entry".to_owned();
                findings.push(Finding { sequence, what });
            }
            let (stored, derived) = (account.stored, account.derived);
            if stored != derived {
                let what = format!("the account counts {stored:?}, its entries {derived:?}");
                findings.push(Finding { sequence, what });
            }
            let (status, last) = (account.stored_status, &account.derived_status);
            if status != last {
                let what = format!("the account is {status}, its last change made it {last}");
                findings.push(Finding { sequence, what });
            }
            let available = stored.available(account.normal_side);
            if let Some(lowest) = account.lowest_available
                && available < lowest
            {
                let what = format!("the account has {available} available, less than {lowest}");
                findings.push(Finding { sequence, what });
            }
        }
        findings.sort_by_key(|finding| finding.sequence);
        self.find_all(findings);
    }

    fn find_all(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            self.find(finding.sequence, finding.what);
        }
    }

    fn find(&mut self, sequence: i64, what: String) {
        self.report.findings_total = self.report.findings_total.saturating_add(1);
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(Finding { sequence, what });
        }
    }
}
