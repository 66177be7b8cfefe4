//! What verification reads beside the records themselves, in steps.

use crate::history::repo::{HEAD_SQL, HeadRow};
use crate::history::tree::LEVELS_PER_STORED;
use crate::journal::scan::Scan;
use ledger_api::EntryKey;
use store::StoreError;
use uuid::Uuid;

/// Where an account's list ends, and its limits.
pub(super) struct ListRow {
    pub(super) account_sequence: i64,
    pub(super) last_entry: Option<i64>,
    pub(super) last_hold: Option<i64>,
    pub(super) entry_count: i64,
    pub(super) limits: Option<String>,
}

/// A commit of the engine.
pub(super) struct GroupRow {
    pub(super) last_sequence: i64,
    pub(super) recorded_at: i64,
    /// Empty for one from before there was a chain.
    pub(super) link: Vec<u8>,
}

/// What was committed and signed of a range of records.
pub(super) struct Committed {
    /// The groups that the records belong to, the last of which may end beyond them.
    pub(super) groups: Vec<GroupRow>,
    /// Size and note of each checkpoint, in order.
    pub(super) checkpoints: Vec<(i64, String)>,
    /// Level, index and root of each stored subtree that ends here, in order.
    pub(super) roots: Vec<(i64, i64, Vec<u8>)>,
}

/// A capture and the hold that it captures, as far as there is one.
pub(super) struct CaptureRow {
    pub(super) sequence: i64,
    pub(super) hold_sequence: Option<i64>,
    /// Of its first leg.
    pub(super) amount: Option<i64>,
    pub(super) legs: i64,
    /// How many legs are on the same account and side as the hold's.
    pub(super) same_legs: i64,
}

/// A reversal and the transaction that it takes back, as far as there is one.
pub(super) struct ReversalRow {
    pub(super) sequence: i64,
    /// Of its first leg.
    pub(super) amount: Option<i64>,
    pub(super) original: Option<i64>,
    pub(super) original_amount: Option<i64>,
    /// What the original takes back itself, which nothing should.
    pub(super) original_reverses: Option<Uuid>,
    pub(super) legs: i64,
    pub(super) original_legs: i64,
    /// How many legs are on the same account as the original's and on the other side.
    pub(super) opposite_legs: i64,
}

pub(super) async fn head(scan: &mut Scan) -> Result<HeadRow, StoreError> {
    let row = scan.rows::<(i64, i64, Option<Vec<u8>>, Option<Vec<u8>>)>(HEAD_SQL, &[]).await?.pop();
    let (last_sequence, tree_size, tree_peaks, link) =
        row.ok_or_else(|| StoreError::inconsistent("journal_head", "id", 1))?;
    Ok(HeadRow { last_sequence, tree_size, tree_peaks, link })
}

/// The first record that the rows of its accounts may not have yet; `None` when all have all.
pub(super) async fn behind_from(scan: &mut Scan) -> Result<Option<i64>, StoreError> {
    let sql = "select states_through from journal_head where id = 1";
    let row = scan.rows::<(Option<i64>,)>(sql, &[]).await?.pop();
    let through = row.and_then(|(through,)| through);
    Ok(through.map(|through| through.saturating_add(1)))
}

pub(super) async fn committed(
    scan: &mut Scan,
    first: i64,
    last: i64,
) -> Result<Committed, StoreError> {
    Ok(Committed {
        groups: groups(scan, first, last).await?,
        checkpoints: checkpoints(scan, first, last).await?,
        roots: roots(scan, first, last).await?,
    })
}

async fn groups(scan: &mut Scan, first: i64, last: i64) -> Result<Vec<GroupRow>, StoreError> {
    let sql = "select last_sequence, recorded_at, link from journal_groups \
               where last_sequence between $1 and (select min(last_sequence) \
                   from journal_groups where last_sequence >= $2) order by last_sequence";
    let rows = scan.rows::<(i64, i64, Vec<u8>)>(sql, &[first, last]).await?;
    let row = |(last_sequence, recorded_at, link)| GroupRow { last_sequence, recorded_at, link };
    Ok(rows.into_iter().map(row).collect())
}

async fn checkpoints(
    scan: &mut Scan,
    first: i64,
    last: i64,
) -> Result<Vec<(i64, String)>, StoreError> {
    let sql = "select tree_size, note from checkpoints where tree_size between $1 and $2 \
               order by tree_size";
    scan.rows(sql, &[first, last]).await
}

async fn roots(
    scan: &mut Scan,
    first: i64,
    last: i64,
) -> Result<Vec<(i64, i64, Vec<u8>)>, StoreError> {
    let sql = "select level, node_index, root from tree_nodes where level = $1 \
               and node_index >= $2 and node_index < $3 order by node_index";
    let mut roots = Vec::new();
    let mut level = LEVELS_PER_STORED;
    while let Some(end @ 1..) = last.checked_shr(level) {
        let start = first.saturating_sub(1).checked_shr(level).unwrap_or_default();
        roots.extend(scan.rows(sql, &[level.into(), start, end]).await?);
        level = level.saturating_add(LEVELS_PER_STORED);
    }
    Ok(roots)
}

/// How many stored roots there are of each level.
pub(super) async fn root_counts(scan: &mut Scan) -> Result<Vec<(i64, i64)>, StoreError> {
    scan.rows("select level, count(*) from tree_nodes group by level order by level", &[]).await
}

/// The reversals of a range, in order.
pub(super) async fn reversals(
    scan: &mut Scan,
    first: i64,
    last: i64,
) -> Result<Vec<ReversalRow>, StoreError> {
    let sql = "select t.sequence, e.amount, o.sequence as original, \
               f.amount as original_amount, o.reverses as original_reverses, \
               (select count(*) from entries x \
                   where x.entry_key between t.sequence * 1024 and t.sequence * 1024 + 1023) \
                   as legs, \
               (select count(*) from entries y \
                   where y.entry_key between o.sequence * 1024 and o.sequence * 1024 + 1023) \
                   as original_legs, \
               (select count(*) from entries x \
                   join entries y on y.entry_key = o.sequence * 1024 + x.entry_key % 1024 \
                   where x.entry_key between t.sequence * 1024 and t.sequence * 1024 + 1023 \
                   and y.account_sequence = x.account_sequence \
                   and (y.amount > 0) = (x.amount < 0)) as opposite_legs \
               from transactions t left join transactions o on o.id = t.reverses \
               left join entries e on e.entry_key = t.sequence * 1024  \
               left join entries f on f.entry_key = o.sequence * 1024  \
               where t.sequence between $1 and $2 and t.reverses is not null \
               order by t.sequence";
    type Columns = (i64, Option<i64>, Option<i64>, Option<i64>, Option<Uuid>, i64, i64, i64);
    let rows = scan.rows::<Columns>(sql, &[first, last]).await?;
    let row = |row: Columns| {
        let (sequence, amount, original, original_amount, original_reverses, ..) = row;
        let (.., legs, original_legs, opposite_legs) = row;
        ReversalRow {
            sequence,
            amount,
            original,
            original_amount,
            original_reverses,
            legs,
            original_legs,
            opposite_legs,
        }
    };
    Ok(rows.into_iter().map(row).collect())
}

/// The captures of a range, in order.
pub(super) async fn captures(
    scan: &mut Scan,
    first: i64,
    last: i64,
) -> Result<Vec<CaptureRow>, StoreError> {
    let sql = "select t.sequence, h.sequence as hold_sequence, e.amount, \
               (select count(*) from entries x \
                   where x.entry_key between t.sequence * 1024 and t.sequence * 1024 + 1023) \
                   as legs, \
               (select count(*) from hold_legs l \
                   join entries x on x.entry_key = t.sequence * 1024 + l.leg_no \
                   where l.hold_sequence = h.sequence \
                   and l.account_sequence = x.account_sequence \
                   and (l.amount > 0) = (x.amount > 0)) as same_legs \
               from transactions t left join holds h on h.id = t.captures \
               left join entries e on e.entry_key = t.sequence * 1024 \
               where t.sequence between $1 and $2 and t.captures is not null \
               order by t.sequence";
    type Columns = (i64, Option<i64>, Option<i64>, i64, i64);
    let rows = scan.rows::<Columns>(sql, &[first, last]).await?;
    let row = |(sequence, hold_sequence, amount, legs, same_legs)| CaptureRow {
        sequence,
        hold_sequence,
        amount,
        legs,
        same_legs,
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Where the accounts of a range end their lists, and their limits, in order.
pub(super) async fn lists(
    scan: &mut Scan,
    first: i64,
    last: i64,
) -> Result<Vec<ListRow>, StoreError> {
    let sql = "select account_sequence, last_entry, last_hold, entry_count, limits from account_states \
               where account_sequence between $1 and $2 order by account_sequence";
    let rows = scan
        .rows::<(i64, Option<i64>, Option<i64>, i64, Option<String>)>(sql, &[first, last])
        .await?;
    let row = |(account_sequence, last_entry, last_hold, entry_count, limits)| ListRow {
        account_sequence,
        last_entry,
        last_hold,
        entry_count,
        limits,
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Up to `limit` marks after one, in order: account and key.
pub(super) async fn marks(
    scan: &mut Scan,
    (account_sequence, entry_key): (i64, i64),
    limit: i64,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let sql = "select account_sequence, entry_key from entry_marks \
               where (account_sequence, entry_key) > ($1, $2) \
               order by account_sequence, entry_key limit $3";
    scan.rows(sql, &[account_sequence, entry_key, limit]).await
}

/// Rows that lie outside the journal's range or belong to nothing, up to `limit`: what they are, and their
/// number.
pub(super) async fn strays(
    scan: &mut Scan,
    last: i64,
    limit: i64,
) -> Result<Vec<(String, i64)>, StoreError> {
    let sql = "select 'an account' as kind, sequence from accounts \
               where sequence < 1 or sequence > $1 \
               union all select 'a transaction', sequence from transactions \
               where sequence < 1 or sequence > $1 \
               union all select 'a change of an account', sequence from account_changes \
               where sequence < 1 or sequence > $1 \
               union all select 'a change of limits', sequence from limit_changes \
               where sequence < 1 or sequence > $1 \
               union all select 'a hold', sequence from holds \
               where sequence < 1 or sequence > $1 \
               union all select 'a change of a hold', sequence from hold_changes \
               where sequence < 1 or sequence > $1 \
               union all select 'an entry', entry_key / 1024 from entries \
               where entry_key < 1024 or entry_key >= ($1 + 1) * 1024 \
               union all select 'a leg of no hold', hold_sequence from hold_legs l \
               where not exists (select 1 from holds h where h.sequence = l.hold_sequence) \
               union all select 'the state of no hold', hold_sequence from hold_states s \
               where not exists (select 1 from holds h where h.sequence = s.hold_sequence) \
               union all select 'a group', last_sequence from journal_groups \
               where last_sequence < 1 or last_sequence > $1 \
               union all select 'a checkpoint', tree_size from checkpoints \
               where tree_size < 1 or tree_size > $1 \
               union all select 'the state of no account', account_sequence \
               from account_states s where not exists \
                   (select 1 from accounts a where a.sequence = s.account_sequence) \
               limit $2";
    scan.rows(sql, &[last, limit]).await
}

/// Every row that a transaction is found by: name, value, number. They have no order by number.
pub(super) async fn each_metadata(
    scan: &mut Scan,
    take: impl FnMut((String, String, i64)) + Send,
) -> Result<(), StoreError> {
    scan.each("select name, value, transaction_sequence from transaction_metadata", take).await
}

/// Every entry with a value date of its own: account, key, value date, amount, sum.
pub(super) async fn each_shifted_entry(
    scan: &mut Scan,
    take: impl FnMut((i64, i64, i64, i64, i64)) + Send,
) -> Result<(), StoreError> {
    let sql = "select account_sequence, entry_key, effective_at, amount, shifted_after \
               from shifted_entries";
    scan.each(sql, take).await
}

/// Every sum by value date: account, day, sum.
pub(super) async fn each_shifted_day(
    scan: &mut Scan,
    take: impl FnMut((i64, i64, i64)) + Send,
) -> Result<(), StoreError> {
    scan.each("select account_sequence, day, amount from shifted_days", take).await
}

/// How much is used of every limit: account, counter, when its period began, minor units, uses, and from
/// where they count.
pub(super) async fn each_usage(
    scan: &mut Scan,
    take: impl FnMut((i64, String, i64, i64, i64, i64)) + Send,
) -> Result<(), StoreError> {
    let sql = "select account_sequence, counter, period_start, minor_units, uses, counts_from \
               from limit_usages";
    scan.each(sql, take).await
}

/// The keys of all entries of a range of records.
fn keys(first: i64, last: i64) -> [i64; 2] {
    [EntryKey::new(first, 0).0, EntryKey::last_of(last).0]
}

/// The transactions of a range that do not sum to zero, and in which currency.
pub(super) async fn unbalanced(
    scan: &mut Scan,
    first: i64,
    last: i64,
) -> Result<Vec<(i64, String)>, StoreError> {
    let sql = "select e.entry_key / 1024, s.currency_code from entries e \
               join account_states s on s.account_sequence = e.account_sequence \
               where e.entry_key between $1 and $2 \
               group by e.entry_key / 1024, s.currency_code having sum(e.amount) <> 0 order by 1";
    scan.rows(sql, &keys(first, last)).await
}

/// The transactions of a range with a running balance that does not go on from the account's entry before.
pub(super) async fn unlinked(
    scan: &mut Scan,
    first: i64,
    last: i64,
) -> Result<Vec<(i64,)>, StoreError> {
    let sql = "select e.entry_key / 1024 from entries e \
               join account_states s on s.account_sequence = e.account_sequence \
               left join entries p on p.entry_key = e.previous \
                   and p.account_sequence = e.account_sequence and p.entry_key < e.entry_key \
               where e.entry_key between $1 and $2 \
               and (e.balance_after <> coalesce(p.balance_after, 0) - e.amount * s.normal_side \
                   or (p.entry_key is null) <> (e.previous is null)) order by 1";
    scan.rows(sql, &keys(first, last)).await
}

/// The accounts with entries in a range that do not stand where their last entry says.
pub(super) async fn misplaced(
    scan: &mut Scan,
    first: i64,
    last: i64,
) -> Result<Vec<(i64,)>, StoreError> {
    let sql = "select moved.account_sequence from \
                   (select account_sequence, max(entry_key) as newest from entries \
                    where entry_key between $1 and $2 \
                    group by account_sequence) moved \
               left join account_states s on s.account_sequence = moved.account_sequence \
               left join entries l on l.entry_key = s.last_entry \
                   and l.account_sequence = s.account_sequence \
               where l.entry_key is null or l.entry_key < moved.newest \
               or (s.posted_credits - s.posted_debits) * s.normal_side <> l.balance_after \
               order by 1";
    scan.rows(sql, &keys(first, last)).await
}
