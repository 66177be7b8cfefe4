//! Does the ledger still add up? Everything is derived again from the journal and compared.
//!
//! 1. The journal is whole: every number from 1 to the last is exactly one record (an account, a change of
//!    its status or limits, a hold, the end of one, a transaction), made no earlier than the one before
//!    and when the group it belongs to says.
//! 2. Every transaction has at least two legs and sums to zero in each currency.
//! 3. Every entry's running balance is the one before it plus its amount, and it names that one; every 64th
//!    of an account is marked.
//! 4. Every account's counters are the sums of its entries and pending holds, its lists of both end where
//!    these do, its status and limits are those of its last change, its constraint holds, and of each limit
//!    as much is used as its records use. A status only becomes another, and closed is final.
//! 5. Every reversal has the legs of an earlier transaction, which is none itself, with the sides
//!    exchanged; all reversals of a transaction together are no more than it was.
//! 6. Every hold sums to zero in each currency, names the one before it on each of its accounts, and stands
//!    where its captures and its end put it, with no more captured than it and its tolerance allow.
//! 7. What is stored to find things by (metadata, value dates) is what the transactions say.
//! 8. The tree over the records, the chain over the groups and every signed checkpoint are those of these
//!    records: nothing was changed, removed, added or put elsewhere since it was committed.

mod ahead;
mod derived;
mod history;
mod holds;
mod repo;
mod since;
mod usages;

use crate::engine::{ENTRIES_PER_MARK, IdMap};
use crate::history::checkpoint::VerifierKey;
use crate::history::repo::checkpoint_keys;
use crate::history::tree::{Hash, NO_HASH, Tree};
use crate::journal::chunk::{
    ChangeRow, Chunk, EntryRow, HoldLegRow, LimitChangeRow, Named, TransactionRow,
};
use crate::journal::encode::{AccountRow, status_from, status_word};
use crate::journal::scan::Scan;
use ahead::{Ahead, Stretch};
use derived::Derived;
use history::HistoryCheck;
use holds::{Held, Holds};
use kernel::Currency;
use ledger_api::{AccountId, AccountStatus, Balances, EntryKey, Side};
use repo::{GroupRow, ListRow, ReversalRow};
use std::collections::HashMap;
use store::{Store, StoreError};
use usages::Usages;

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
    /// The newest checkpoint that was found to be signed and of this history, as a note.
    pub checkpoint: Option<String>,
}

/// What to verify, and on whose word.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// Checkpoints must be signed with one of these; when empty, with one that the ledger itself lists.
    pub keys: Vec<VerifierKey>,
    /// The note of a checkpoint that was verified before: only what came after it is read, and it must
    /// continue that history. Everything, when there is none.
    pub since: Option<String>,
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
///
/// What is compared at the end stands apart: every entry looks its account up, and the fewer cache lines
/// that takes the better.
struct Folded {
    id: AccountId,
    currency: Currency,
    normal_side: Side,
    balances: Balances,
    /// The key of the last entry, and how many there are.
    list: (Option<i64>, i64),
    /// The last hold with a leg on it.
    last_hold: Option<i64>,
    /// How many marks there should be, and their keys mixed.
    marks: (i64, i64),
    status: &'static str,
    limits: Option<Box<str>>,
    stored: Box<Stored>,
}

/// What is stored of an account beside its records.
struct Stored {
    lowest_available: Option<i64>,
    balances: Balances,
    status: &'static str,
    list: (Option<i64>, i64),
    last_hold: Option<i64>,
    limits: Option<Box<str>>,
}

#[derive(Default)]
struct Fold {
    accounts: IdMap<i64, Folded>,
    /// What was taken back of each transaction, in minor units of the first leg.
    reversed: HashMap<i64, u128>,
    holds: Holds,
    derived: Derived,
    usages: Usages,
    /// When the last record so far was made.
    recorded_at: i64,
    /// The first record that the rows of its accounts may not have yet; `None` when all have all.
    behind_from: Option<i64>,
    report: Report,
}

pub(crate) async fn verify(
    store: &Store,
    verification: &Verification,
    progress: impl FnMut(i64, i64) + Send,
) -> Result<Report, StoreError> {
    let keys = trusted(store, &verification.keys).await?;
    match &verification.since {
        Some(note) => since::verify(store, note, keys, progress).await,
        None => verify_all(store, keys, progress).await,
    }
}

async fn verify_all(
    store: &Store,
    keys: Vec<VerifierKey>,
    mut progress: impl FnMut(i64, i64) + Send,
) -> Result<Report, StoreError> {
    let mut scan = Scan::begin(store).await?;
    let mut fold = Fold::default();
    let mut history = HistoryCheck::after(Tree::default(), NO_HASH, keys);
    let head = repo::head(&mut scan).await?;
    let last = head.last_sequence;
    fold.behind_from = behind_from(&mut scan, &mut fold.report).await?;
    fold.holds = Holds::behind_from(fold.behind_from);
    let mut ahead = Ahead::read(store, scan, last).await?;
    while let Some(stretch) = ahead.next().await {
        history.add(&fold.check(&stretch), &stretch.committed);
        progress(stretch.last, last);
    }
    let scan = &mut ahead.end().await?;
    fold.check_marks(scan).await?;
    let found = std::mem::take(&mut fold.derived).compare(scan).await?;
    fold.find_all(found);
    let found = std::mem::take(&mut fold.usages).compare(scan).await?;
    fold.find_all(found);
    fold.check_strays(repo::strays(scan, last, STRAYS_MAX).await?);
    fold.check_balances();
    let (found, checkpoint) = history.end(scan, &head).await?;
    fold.find_all(found);
    fold.report.checkpoint = checkpoint;
    Ok(fold.report)
}

/// The first record that the rows of its accounts may not have yet; `None` when all have all, as on PostgreSQL
/// they always do.
async fn behind_from(scan: &mut Scan, report: &mut Report) -> Result<Option<i64>, StoreError> {
    let from = repo::behind_from(scan).await?;
    if from.is_some() && matches!(scan, Scan::Postgres(_)) {
        report.find(0, "rows are said to be behind, and on PostgreSQL none ever is".into());
        return Ok(None);
    }
    Ok(from)
}

/// The given keys, or all that the ledger lists.
async fn trusted(store: &Store, keys: &[VerifierKey]) -> Result<Vec<VerifierKey>, StoreError> {
    if !keys.is_empty() {
        return Ok(keys.to_vec());
    }
    let listed = checkpoint_keys(store).await?;
    // A key that cannot be read opens nothing: its checkpoints are findings.
    Ok(listed.iter().filter_map(|key| key.parse().ok()).collect())
}

impl Fold {
    /// Checks the records of the next stretch, and gives their leaves.
    fn check(&mut self, stretch: &Stretch) -> Vec<Option<Hash>> {
        let (chunk, range) = (&stretch.chunk, (stretch.first, stretch.last));
        self.check_records(range, chunk.times().collect(), &stretch.committed.groups);
        self.add_accounts(&chunk.accounts, &stretch.lists);
        chunk.changes.iter().for_each(|row| self.check_change(row));
        chunk.limit_changes.iter().for_each(|row| self.check_limit_change(row));
        self.check_transactions(&chunk.transactions, &chunk.entries);
        self.check_reversals(&stretch.reversals);
        let accounts = &self.accounts;
        let currency_of = |account| accounts.get(&account).map(|account| account.currency);
        let found = self.holds.add(&chunk.holds, &chunk.hold_legs, currency_of);
        self.find_all(found);
        self.check_hold_lists(&chunk.hold_legs);
        self.usages.add(stretch, &self.holds, &self.accounts);
        let found = self.holds.change(&stretch.captures, &chunk.hold_ends);
        self.find_all(found);
        self.leaves(chunk, range)
    }

    fn check_transactions(&mut self, transactions: &[TransactionRow], entries: &[EntryRow]) {
        let number = |entry: &EntryRow| EntryKey(entry.entry_key).parts().0;
        let mut transactions = transactions.iter().peekable();
        for legs in entries.chunk_by(|one, next| number(one) == number(next)) {
            let sequence = number(&legs[0]);
            while let Some(bare) = transactions.next_if(|row| row.sequence < sequence) {
                self.check_entries(bare.sequence, &[]);
            }
            let transaction = transactions.next_if(|row| row.sequence == sequence);
            if transaction.is_none() {
                self.find(sequence, "entries of no transaction".into());
            }
            self.check_entries(sequence, legs);
            if let Some(transaction) = transaction {
                self.report.transactions = self.report.transactions.saturating_add(1);
                self.derive(transaction, legs);
            }
        }
        for bare in transactions {
            self.check_entries(bare.sequence, &[]);
        }
    }

    /// What is stored of a transaction beside its own rows.
    fn derive(&mut self, transaction: &TransactionRow, legs: &[EntryRow]) {
        self.derived.add_metadata(transaction);
        if transaction.effective_at != transaction.recorded_at {
            for leg in legs {
                if let Some(account) = self.accounts.get(&leg.account_sequence) {
                    self.derived.add_shift(leg, account.normal_side, transaction.effective_at);
                }
            }
        }
    }

    fn leaves(&mut self, chunk: &Chunk, range: (i64, i64)) -> Vec<Option<Hash>> {
        let named = |account: i64| {
            let account = self.accounts.get(&account)?;
            Some(Named { id: account.id, currency: account.currency })
        };
        let (leaves, wrong) = chunk.leaves(range, named);
        for (sequence, error) in wrong {
            self.find(sequence, error.to_string());
        }
        leaves
    }

    fn add_accounts(&mut self, accounts: &[AccountRow], lists: &[ListRow]) {
        for row in accounts {
            self.add_account(row);
        }
        for row in lists {
            if let Some(account) = self.accounts.get_mut(&row.account_sequence) {
                account.stored.list = (row.last_entry, row.entry_count);
                account.stored.last_hold = row.last_hold;
                account.stored.limits = row.limits.as_deref().map(Into::into);
            }
        }
    }

    fn check_limit_change(&mut self, row: &LimitChangeRow) {
        match self.accounts.get_mut(&row.account_sequence) {
            Some(account) => account.limits = Some(row.limits.as_str().into()),
            None => self.find(row.sequence, "limits of an account that is not there".into()),
        }
    }

    /// Every 64th entry of an account is marked, and no other.
    async fn check_marks(&mut self, scan: &mut Scan) -> Result<(), StoreError> {
        let mut after = (i64::MIN, i64::MIN);
        loop {
            let marks = repo::marks(scan, after, STEP).await?;
            for (account, entry_key) in &marks {
                after = (*account, *entry_key);
                match self.accounts.get_mut(account) {
                    Some(Folded { marks: (left, mixed), .. }) => {
                        (*left, *mixed) = (left.saturating_sub(1), *mixed ^ entry_key);
                    }
                    None => self.find(*account, "a mark of no account".into()),
                }
            }
            if marks.is_empty() {
                return Ok(());
            }
        }
    }

    fn add_account(&mut self, row: &AccountRow) {
        self.report.accounts = self.report.accounts.saturating_add(1);
        let sequence = row.sequence;
        let account = match row.clone().into_account() {
            Ok(account) => account,
            Err(error) => return self.find(sequence, error.to_string()),
        };
        let stored = Stored {
            lowest_available: account.constraint.lowest_available(),
            balances: account.balances,
            status: status_word(account.status),
            list: (None, 0),
            last_hold: None,
            limits: None,
        };
        let folded = Folded {
            id: account.id,
            currency: account.currency,
            normal_side: account.normal_side,
            balances: Balances::default(),
            list: (None, 0),
            last_hold: None,
            marks: (0, 0),
            status: status_word(AccountStatus::Open),
            limits: None,
            stored: Box::new(stored),
        };
        self.accounts.insert(sequence, folded);
    }

    fn check_change(&mut self, row: &ChangeRow) {
        let Some(account) = self.accounts.get_mut(&row.account_sequence) else {
            return self.find(row.sequence, "a change of an account that is not there".into());
        };
        let Ok(to) = status_from(&row.status, account.id.0).map(status_word) else {
            return self.find(row.sequence, format!("a status {} that there is not", row.status));
        };
        let from = std::mem::replace(&mut account.status, to);
        if from == to || from == status_word(AccountStatus::Closed) {
            let what = format!("an account that was {from} became {to}");
            self.find(row.sequence, what);
        }
    }

    /// Each takes back an earlier transaction, and never more than is left of it.
    fn check_reversals(&mut self, reversals: &[ReversalRow]) {
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
        mut records: Vec<(i64, i64)>,
        groups: &[GroupRow],
    ) {
        records.sort_unstable();
        let mut groups = groups.iter().peekable();
        let mut expected = first;
        for (sequence, recorded_at) in records {
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
            while groups.next_if(|group| group.last_sequence < sequence).is_some() {}
            if groups.peek().is_none_or(|group| group.recorded_at != recorded_at) {
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
        // Few transactions have more than one currency.
        let mut sums: Vec<(Currency, i128)> = Vec::with_capacity(1);
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
            if self.behind_from.is_some_and(|from| transaction >= from) {
                account.stored.catch_up(leg);
            }
            let amount = i128::from(leg.amount);
            match sums.iter_mut().find(|(currency, _)| *currency == account.currency) {
                Some((_, sum)) => *sum = sum.saturating_add(amount),
                None => sums.push((account.currency, amount)),
            }
            let previous = account.list.0;
            add(leg, &mut account.balances, &mut account.list);
            let count = account.list.1;
            if count.checked_rem(ENTRIES_PER_MARK) == Some(0) {
                let (marks, mixed) = account.marks;
                account.marks = (marks.saturating_add(1), mixed ^ leg.entry_key);
            }
            let derived = account.balances.posted(account.normal_side);
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
        match legs.len() {
            0 => self.find(transaction, "a transaction without entries".into()),
            1 => self.find(transaction, "fewer than two legs".into()),
            _ => {}
        }
        for (currency, sum) in sums {
            if sum != 0 {
                let what = format!("debits exceed credits by {sum} minor units of {currency}");
                self.find(transaction, what);
            }
        }
    }

    /// Each leg of a hold names the hold before it on its account.
    fn check_hold_lists(&mut self, legs: &[HoldLegRow]) {
        for hold in legs.chunk_by(|one, next| one.hold_sequence == next.hold_sequence) {
            let sequence = hold[0].hold_sequence;
            let is_behind = self.behind_from.is_some_and(|from| sequence >= from);
            for leg in hold {
                // A leg on no account is told of with the hold.
                let Some(account) = self.accounts.get(&leg.account_sequence) else { continue };
                if leg.previous != account.last_hold {
                    let (named, before) = (leg.previous, account.last_hold);
                    let what = format!("a leg names hold {named:?} before it, is after {before:?}");
                    self.find(sequence, what);
                }
            }
            for leg in hold {
                let Some(account) = self.accounts.get_mut(&leg.account_sequence) else { continue };
                account.last_hold = Some(sequence);
                if is_behind {
                    account.stored.last_hold = account.stored.last_hold.max(Some(sequence));
                }
            }
        }
    }

    fn check_strays(&mut self, strays: Vec<(String, i64)>) {
        for (kind, sequence) in strays {
            self.find(sequence, format!("{kind} outside the journal"));
        }
    }

    /// The counters of every account are the sums of its entries, and its constraint holds.
    fn check_balances(&mut self) {
        let Held { pending, behind, mut findings } = std::mem::take(&mut self.holds).end();
        for (&sequence, account) in &mut self.accounts {
            if let Some(pending) = pending.get(&sequence) {
                account.balances.pending_debits = pending.pending_debits;
                account.balances.pending_credits = pending.pending_credits;
            }
            if behind.contains(&sequence) {
                account.stored.balances.pending_debits = account.balances.pending_debits;
                account.stored.balances.pending_credits = account.balances.pending_credits;
            }
            if account.stored.last_hold != account.last_hold {
                let (stored, derived) = (account.stored.last_hold, account.last_hold);
                let what = format!("its last hold is {stored:?}, by its holds {derived:?}");
                findings.push(Finding { sequence, what });
            }
            if account.stored.list != account.list {
                let (stored, derived) = (account.stored.list, account.list);
                let what = format!("its list ends at {stored:?}, its entries at {derived:?}");
                findings.push(Finding { sequence, what });
            }
            if account.stored.limits != account.limits {
                let what = "its limits are not those of their last change".to_owned();
                findings.push(Finding { sequence, what });
            }
            if account.marks != (0, 0) {
                let what = "the marks of its list are not every 64th entry".to_owned();
                findings.push(Finding { sequence, what });
            }
            let (stored, derived) = (account.stored.balances, account.balances);
            if stored != derived {
                let what = format!("the account counts {stored:?}, its entries {derived:?}");
                findings.push(Finding { sequence, what });
            }
            let (status, last) = (account.stored.status, account.status);
            if status != last {
                let what = format!("the account is {status}, its last change made it {last}");
                findings.push(Finding { sequence, what });
            }
            let available = stored.available(account.normal_side);
            if let Some(lowest) = account.stored.lowest_available
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
        self.report.find(sequence, what);
    }
}

impl Stored {
    /// Adds an entry that the row does not have yet, as the engine would.
    fn catch_up(&mut self, leg: &EntryRow) {
        if self.list.0.is_none_or(|last| last < leg.entry_key) {
            add(leg, &mut self.balances, &mut self.list);
        }
    }
}

/// Adds an entry to an account's counters and its list.
fn add(leg: &EntryRow, balances: &mut Balances, list: &mut (Option<i64>, i64)) {
    let counter =
        if leg.amount > 0 { &mut balances.posted_debits } else { &mut balances.posted_credits };
    *counter = counter.saturating_add(leg.amount.saturating_abs());
    *list = (Some(leg.entry_key), list.1.saturating_add(1));
}

impl Report {
    fn find(&mut self, sequence: i64, what: String) {
        self.findings_total = self.findings_total.saturating_add(1);
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { sequence, what });
        }
    }
}
