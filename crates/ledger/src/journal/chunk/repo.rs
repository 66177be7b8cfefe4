//! Reading a stretch of the journal.

use super::{
    ChangeRow, Chunk, EntryRow, HoldEndRow, HoldLegRow, LimitChangeRow, Named, StoredHold,
    TransactionRow,
};
use crate::engine::IdMap;
use crate::journal::encode::{self, AccountRow, HoldRow};
use crate::journal::scan::Scan;
use ledger_api::{AccountId, EntryKey, HoldId};
use store::StoreError;
use uuid::Uuid;

impl Chunk {
    pub(crate) async fn read(scan: &mut Scan, first: i64, last: i64) -> Result<Self, StoreError> {
        let range = [first, last];
        let keys = [EntryKey::new(first, 0).0, EntryKey::last_of(last).0];
        let accounts =
            scan.rows(&format!("{ACCOUNTS_SQL} where a.sequence {BETWEEN}"), &range).await?;
        let changes = scan.rows(&format!("{CHANGES_SQL} where sequence {BETWEEN}"), &range).await?;
        let limit_changes =
            scan.rows(&format!("{LIMIT_CHANGES_SQL} where sequence {BETWEEN}"), &range).await?;
        let holds = scan.rows(&format!("{HOLDS_SQL} where h.sequence {BETWEEN}"), &range).await?;
        let hold_legs = scan.rows(HOLD_LEGS_SQL, &range).await?;
        let hold_ends =
            scan.rows(&format!("{HOLD_ENDS_SQL} where sequence {BETWEEN}"), &range).await?;
        let transactions =
            scan.rows(&format!("{TRANSACTIONS_SQL} where sequence {BETWEEN}"), &range).await?;
        let entries = scan.numbers(ENTRIES_SQL, &entry_lists_sql(), &keys).await?;
        Ok(Self {
            accounts: accounts.into_iter().map(account_row).collect(),
            changes: changes.into_iter().map(change_row).collect(),
            limit_changes: limit_changes.into_iter().map(limit_change_row).collect(),
            holds: holds.into_iter().map(hold_row).collect(),
            hold_legs: hold_legs.into_iter().map(hold_leg_row).collect(),
            hold_ends: hold_ends.into_iter().map(hold_end_row).collect(),
            transactions: transactions.into_iter().map(transaction_row).collect(),
            entries: entries.into_iter().map(entry_row).collect(),
        })
    }
}

/// The accounts that a range of records is about, for who has not read the journal from its beginning.
pub(crate) async fn accounts_touched(
    scan: &mut Scan,
    first: i64,
    last: i64,
) -> Result<IdMap<i64, Named>, StoreError> {
    let sql = "select a.sequence, a.id, s.currency_code from accounts a \
               join account_states s on s.account_sequence = a.sequence where a.sequence in \
               (select account_sequence from entries where entry_key between $1 and $2 \
                union select account_sequence from hold_legs where hold_sequence between $3 and $4 \
                union select account_sequence from account_changes where sequence between $3 and $4 \
                union select account_sequence from limit_changes where sequence between $3 and $4)";
    let numbers = [EntryKey::new(first, 0).0, EntryKey::last_of(last).0, first, last];
    let mut accounts = IdMap::default();
    for (sequence, id, code) in scan.rows::<(i64, Uuid, String)>(sql, &numbers).await? {
        let currency = encode::currency_from(&code, id)?;
        accounts.insert(sequence, Named { id: AccountId(id), currency });
    }
    Ok(accounts)
}

/// The holds that ended otherwise than by a capture in a range of records, by their numbers.
pub(crate) async fn holds_ended(
    scan: &mut Scan,
    first: i64,
    last: i64,
) -> Result<IdMap<i64, HoldId>, StoreError> {
    let sql = "select h.sequence, h.id from hold_changes c \
               join holds h on h.sequence = c.hold_sequence where c.sequence between $1 and $2";
    let holds = scan.rows::<(i64, Uuid)>(sql, &[first, last]).await?;
    Ok(holds.into_iter().map(|(sequence, id)| (sequence, HoldId(id))).collect())
}

const BETWEEN: &str = "between $1 and $2 order by 1";

const ACCOUNTS_SQL: &str = "select a.sequence, a.id, a.name, a.opened_at, s.currency_code, \
    s.normal_side, s.status, s.lowest_available, s.posted_debits, s.posted_credits, \
    s.pending_debits, s.pending_credits \
    from accounts a join account_states s on s.account_sequence = a.sequence";
type AccountColumns =
    (i64, Uuid, String, i64, String, i64, String, Option<i64>, i64, i64, i64, i64);

fn account_row(row: AccountColumns) -> AccountRow {
    let (sequence, id, name, opened_at, currency_code, normal_side, status, lowest, d, c, pd, pc) =
        row;
    AccountRow {
        sequence,
        id,
        name,
        opened_at,
        currency_code,
        normal_side,
        status,
        lowest_available: lowest,
        posted_debits: d,
        posted_credits: c,
        pending_debits: pd,
        pending_credits: pc,
    }
}

const CHANGES_SQL: &str =
    "select sequence, account_sequence, status, reason, changed_at from account_changes";

fn change_row(row: (i64, i64, String, String, i64)) -> ChangeRow {
    let (sequence, account_sequence, status, reason, changed_at) = row;
    ChangeRow { sequence, account_sequence, status, reason, changed_at }
}

const LIMIT_CHANGES_SQL: &str =
    "select sequence, account_sequence, limits, changed_at from limit_changes";

fn limit_change_row(row: (i64, i64, String, i64)) -> LimitChangeRow {
    let (sequence, account_sequence, limits, changed_at) = row;
    LimitChangeRow { sequence, account_sequence, limits, changed_at }
}

/// The state's own `expires_at` comes before who asked for the hold.
const HOLDS_SQL: &str = "select h.sequence, h.id, h.kind, h.description, h.reference, h.metadata, \
    h.tolerance, h.expires_at, h.created_at, s.status, s.captured, s.ended_by, s.expires_at, \
    h.initiated_by from holds h join hold_states s on s.hold_sequence = h.sequence";
type HoldColumns = (
    i64,
    Uuid,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    i64,
    Option<i64>,
    i64,
    String,
    i64,
    Option<i64>,
    Option<i64>,
    Option<Uuid>,
);

fn hold_row(row: HoldColumns) -> StoredHold {
    let (sequence, id, kind, description, reference, metadata, tolerance, expires_at, ..) = row;
    let (.., created_at, status, captured, ended_by, state_expires_at, initiated_by) = row;
    let hold = HoldRow {
        sequence,
        id,
        kind,
        description,
        reference,
        metadata,
        tolerance,
        expires_at,
        created_at,
        status,
        captured,
        ended_by,
        initiated_by,
        // Its end is a record of its own.
        released_by: None,
    };
    StoredHold { hold, state_expires_at }
}

const HOLD_LEGS_SQL: &str = "select hold_sequence, account_sequence, amount, previous from hold_legs \
    where hold_sequence between $1 and $2 order by hold_sequence, leg_no";

fn hold_leg_row(row: (i64, i64, i64, Option<i64>)) -> HoldLegRow {
    let (hold_sequence, account_sequence, amount, previous) = row;
    HoldLegRow { hold_sequence, account_sequence, amount, previous }
}

const HOLD_ENDS_SQL: &str =
    "select sequence, hold_sequence, status, reason, changed_at, initiated_by from hold_changes";

fn hold_end_row(row: (i64, i64, String, Option<String>, i64, Option<Uuid>)) -> HoldEndRow {
    let (sequence, hold_sequence, status, reason, changed_at, initiated_by) = row;
    HoldEndRow { sequence, hold_sequence, status, reason, changed_at, initiated_by }
}

const TRANSACTIONS_SQL: &str = "select sequence, id, kind, description, reference, metadata, \
    effective_at, recorded_at, reverses, captures, initiated_by from transactions";
type TransactionColumns = (
    i64,
    Uuid,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    i64,
    i64,
    Option<Uuid>,
    Option<Uuid>,
    Option<Uuid>,
);

fn transaction_row(row: TransactionColumns) -> TransactionRow {
    let (sequence, id, kind, description, reference, metadata, effective_at, recorded_at, ..) = row;
    let (.., reverses, captures, initiated_by) = row;
    TransactionRow {
        sequence,
        id,
        kind,
        description,
        reference,
        metadata,
        effective_at,
        recorded_at,
        reverses,
        captures,
        initiated_by,
    }
}

const ENTRIES_SQL: &str = "select entry_key, account_sequence, amount, balance_after, previous \
    from entries where entry_key between $1 and $2 order by entry_key";

fn entry_lists_sql() -> String {
    format!(
        "select array_agg(entry_key), array_agg(account_sequence), array_agg(amount), \
         array_agg(balance_after), array_agg(previous) from ({ENTRIES_SQL}) as in_order"
    )
}

/// All but the last are never null in the database.
fn entry_row(row: [Option<i64>; 5]) -> EntryRow {
    let [entry_key, account_sequence, amount, balance_after, previous] = row;
    EntryRow {
        entry_key: entry_key.unwrap_or_default(),
        account_sequence: account_sequence.unwrap_or_default(),
        amount: amount.unwrap_or_default(),
        balance_after: balance_after.unwrap_or_default(),
        previous,
    }
}
