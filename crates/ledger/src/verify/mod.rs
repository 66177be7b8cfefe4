//! Does the ledger still add up? Everything is derived again from the journal and compared.
//!
//! 1. The journal is whole: every number from 1 to the last is exactly one account, one change of an
//!    account or one transaction, recorded no earlier than the one before.
//! 2. Every transaction has at least two legs and sums to zero in each currency.
//! 3. Every entry's running balance is the one before it plus its amount.
//! 4. Every account's counters are the sums of its entries, its status is that of its last change,
//!    and its constraint holds. A status only becomes another, and closed is final.
//! 5. Every reversal has the legs of an earlier transaction, which is none itself, with the sides
//!    exchanged; all reversals of a transaction together are no more than it was.

mod repo;

use crate::journal::encode::{AccountRow, status_word};
use kernel::Currency;
use ledger_api::{AccountStatus, Balances, Side};
use repo::{ChangeRow, EntryRow, RecordRow, ReversalRow, Snapshot, StrayRow};
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
}

#[derive(Default)]
struct Verification {
    accounts: HashMap<i64, Folded>,
    /// What was taken back of each transaction, in minor units of the first leg.
    reversed: HashMap<i64, u128>,
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
        let transactions = snapshot.transactions(first, end).await?;
        let entries = snapshot.entries(first, end).await?;
        verification.check_step((first, end), accounts, changes, &transactions, &entries);
        verification.check_reversals(snapshot.reversals(first, end).await?);
        progress(end, last);
        first = end.saturating_add(1);
    }
    verification.check_strays(snapshot.strays(last, STRAYS_MAX).await?);
    verification.check_balances();
    Ok(verification.report)
}

impl Verification {
    fn check_step(
        &mut self,
        range: (i64, i64),
        accounts: Vec<AccountRow>,
        changes: Vec<ChangeRow>,
        transactions: &[RecordRow],
        entries: &[EntryRow],
    ) {
        let opened = accounts
            .iter()
            .map(|row| RecordRow { sequence: row.sequence, recorded_at: row.opened_at });
        let changed = changes
            .iter()
            .map(|row| RecordRow { sequence: row.sequence, recorded_at: row.changed_at });
        let posted = transactions.iter().copied();
        self.check_records(range, opened.chain(changed).chain(posted).collect());
        for row in accounts {
            self.add_account(row);
        }
        for row in changes {
            self.check_change(row);
        }
        for legs in
            entries.chunk_by(|one, next| one.transaction_sequence == next.transaction_sequence)
        {
            let transaction = legs[0].transaction_sequence;
            if transactions.binary_search_by_key(&transaction, |row| row.sequence).is_err() {
                self.find(transaction, "entries of no transaction".into());
            }
            self.check_entries(transaction, legs);
        }
        let with_entries: HashSet<i64> =
            entries.iter().map(|entry| entry.transaction_sequence).collect();
        for &RecordRow { sequence, .. } in transactions {
            self.report.transactions = self.report.transactions.saturating_add(1);
            if !with_entries.contains(&sequence) {
                self.find(sequence, "a transaction without entries".into());
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
    fn check_records(&mut self, (first, last): (i64, i64), mut records: Vec<RecordRow>) {
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
            if leg.leg_no != leg_no {
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
            let derived = account.derived.posted(account.normal_side);
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
        let mut findings = Vec::new();
        for (&sequence, account) in &self.accounts {
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
