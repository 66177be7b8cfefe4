//! What is stored beside the records to find them by: it must be what the records say.

use super::{Finding, repo};
use crate::history::tree::sha256;
use crate::journal::chunk::{EntryRow, TransactionRow};
use crate::journal::encode::{day_of, metadata_from, searchable};
use crate::journal::scan::Scan;
use kernel::Timestamp;
use ledger_api::Side;
use std::collections::BTreeMap;
use store::StoreError;
use uuid::Uuid;

/// Metadata of as many records is compared together: wrong rows are found to that.
const RECORDS_PER_TALLY: i64 = 1_024;

/// A set of rows by its size and the sum of its digests.
type Tally = (u64, u128);

/// What the records say should be stored, and then what of it is.
#[derive(Default)]
pub(super) struct Derived {
    /// By the record's number, in steps.
    metadata: BTreeMap<i64, Tally>,
    /// Of each account that has entries with another value date: what they sum up to, and the rows.
    shifts: BTreeMap<i64, (i64, Tally)>,
    /// By account and day.
    days: BTreeMap<(i64, i64), i64>,
}

impl Derived {
    pub(super) fn add_metadata(&mut self, transaction: &TransactionRow) {
        let text = transaction.metadata.as_deref();
        // A text that cannot be read is told of with the record.
        let Ok(metadata) = metadata_from(text, Uuid::nil()) else { return };
        for (name, value) in searchable(&metadata) {
            let tally = self.metadata.entry(transaction.sequence / RECORDS_PER_TALLY).or_default();
            add(tally, &metadata_row(name, value, transaction.sequence));
        }
    }

    pub(super) fn add_shift(&mut self, leg: &EntryRow, normal_side: Side, effective_at: i64) {
        let amount = match normal_side {
            Side::Debit => leg.amount,
            Side::Credit => 0_i64.saturating_sub(leg.amount),
        };
        let account = leg.account_sequence;
        let (after, tally) = self.shifts.entry(account).or_default();
        *after = after.saturating_add(amount);
        add(tally, &numbers(&[account, leg.entry_key, effective_at, amount, *after]));
        let day = day_of(Timestamp::from_micros(effective_at));
        let sum = self.days.entry((account, day)).or_default();
        *sum = sum.saturating_add(amount);
    }

    /// What is stored otherwise.
    pub(super) async fn compare(mut self, scan: &mut Scan) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        self.compare_metadata(scan, &mut findings).await?;
        self.compare_shifts(scan, &mut findings).await?;
        self.compare_days(scan, &mut findings).await?;
        Ok(findings)
    }

    async fn compare_metadata(
        &mut self,
        scan: &mut Scan,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StoreError> {
        let mut stored: BTreeMap<i64, Tally> = BTreeMap::new();
        repo::each_metadata(scan, |(name, value, sequence)| {
            let tally = stored.entry(sequence / RECORDS_PER_TALLY).or_default();
            add(tally, &metadata_row(&name, &value, sequence));
        })
        .await?;
        let what = "what the transactions of its stretch are found by is not their metadata";
        let number = |stretch: &i64| stretch.saturating_mul(RECORDS_PER_TALLY);
        differing(&self.metadata, &stored, |stretch| findings.push(finding(number(stretch), what)));
        Ok(())
    }

    async fn compare_shifts(
        &mut self,
        scan: &mut Scan,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StoreError> {
        let mut stored: BTreeMap<i64, Tally> = BTreeMap::new();
        repo::each_shifted_entry(scan, |(account, key, effective_at, amount, after)| {
            let row = numbers(&[account, key, effective_at, amount, after]);
            add(stored.entry(account).or_default(), &row);
        })
        .await?;
        let expected = self.shifts.iter().map(|(account, (_, tally))| (*account, *tally)).collect();
        let what = "its entries with a value date of their own are stored otherwise";
        differing(&expected, &stored, |account| findings.push(finding(*account, what)));
        Ok(())
    }

    async fn compare_days(
        &mut self,
        scan: &mut Scan,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StoreError> {
        let mut stored: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        repo::each_shifted_day(scan, |(account, day, amount)| {
            stored.insert((account, day), amount);
        })
        .await?;
        let what = "its sums by value date are stored otherwise";
        differing(&self.days, &stored, |(account, _)| findings.push(finding(*account, what)));
        Ok(())
    }
}

fn differing<K: Ord, V: PartialEq>(
    expected: &BTreeMap<K, V>,
    stored: &BTreeMap<K, V>,
    mut tell: impl FnMut(&K),
) {
    let missing = expected.iter().filter(|(key, value)| stored.get(key) != Some(value));
    missing.for_each(|(key, _)| tell(key));
    stored.keys().filter(|key| !expected.contains_key(key)).for_each(tell);
}

fn add((count, sum): &mut Tally, row: &[u8]) {
    let digest = sha256(row);
    let (half, _) = digest.split_at(16);
    *count = count.saturating_add(1);
    *sum = sum.wrapping_add(half.iter().fold(0, |number, byte| (number << 8) | u128::from(*byte)));
}

fn metadata_row(name: &str, value: &str, sequence: i64) -> Vec<u8> {
    // The lengths keep a name and its value apart.
    let lengths = [name.len(), value.len()].map(|length| length.to_be_bytes()).concat();
    [&lengths, name.as_bytes(), value.as_bytes(), &sequence.to_be_bytes()].concat()
}

fn numbers(numbers: &[i64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn finding(sequence: i64, what: &str) -> Finding {
    Finding { sequence, what: what.to_owned() }
}
