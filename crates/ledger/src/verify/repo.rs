//! What verification reads: one unchanging state of the journal, in steps.

use crate::journal::encode::{ACCOUNT_COLUMNS, AccountRow};
use ledger_api::EntryKey;
use store::sea_orm::{self, DatabaseTransaction, FromQueryResult, Value};
use store::{Store, StoreError};
use uuid::Uuid;

/// The ledger at one moment, while others go on writing.
pub(super) struct Snapshot {
    store: Store,
    tx: DatabaseTransaction,
}

#[derive(Debug, FromQueryResult)]
pub(super) struct EntryRow {
    pub(super) entry_key: i64,
    pub(super) account_sequence: i64,
    pub(super) amount: i64,
    pub(super) balance_after: i64,
    pub(super) previous: Option<i64>,
}

/// An account with its state, and what only the journal's own reads need of it.
#[derive(Debug, FromQueryResult)]
pub(super) struct ListRow {
    pub(super) account_sequence: i64,
    pub(super) last_entry: Option<i64>,
    pub(super) entry_count: i64,
    pub(super) limits: Option<String>,
}

/// A way into the middle of an account's list.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub(super) struct MarkRow {
    pub(super) account_sequence: i64,
    pub(super) entry_key: i64,
}

/// What an account's limits became.
#[derive(Debug, FromQueryResult)]
pub(super) struct LimitChangeRow {
    pub(super) sequence: i64,
    pub(super) account_sequence: i64,
    pub(super) limits: String,
    pub(super) changed_at: i64,
}

/// A hold and where it stands.
#[derive(Debug, FromQueryResult)]
pub(super) struct HoldRow {
    pub(super) sequence: i64,
    pub(super) tolerance: i64,
    pub(super) expires_at: Option<i64>,
    pub(super) created_at: i64,
    pub(super) status: String,
    pub(super) captured: i64,
    pub(super) ended_by: Option<i64>,
    /// As the state says, by which it is found when its time is over.
    pub(super) state_expires_at: Option<i64>,
}

#[derive(Debug, FromQueryResult)]
pub(super) struct HoldLegRow {
    pub(super) hold_sequence: i64,
    pub(super) account_sequence: i64,
    pub(super) amount: i64,
}

/// The end of a hold other than by a capture.
#[derive(Debug, FromQueryResult)]
pub(super) struct HoldChangeRow {
    pub(super) sequence: i64,
    pub(super) hold_sequence: i64,
    pub(super) status: String,
    pub(super) changed_at: i64,
}

/// A capture and the hold that it captures, as far as there is one.
#[derive(Debug, FromQueryResult)]
pub(super) struct CaptureRow {
    pub(super) sequence: i64,
    pub(super) hold_sequence: Option<i64>,
    /// Of its first leg.
    pub(super) amount: Option<i64>,
    pub(super) legs: i64,
    /// How many legs are on the same account and side as the hold's.
    pub(super) same_legs: i64,
}

/// A number of the journal and when it was given out.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub(super) struct RecordRow {
    pub(super) sequence: i64,
    pub(super) recorded_at: i64,
}

/// What an account's status became.
#[derive(Debug, FromQueryResult)]
pub(super) struct ChangeRow {
    pub(super) sequence: i64,
    pub(super) account_sequence: i64,
    pub(super) status: String,
    pub(super) changed_at: i64,
}

/// A reversal and the transaction that it takes back, as far as there is one.
#[derive(Debug, FromQueryResult)]
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

/// A row that no record of the journal accounts for.
#[derive(Debug, FromQueryResult)]
pub(super) struct StrayRow {
    pub(super) kind: String,
    pub(super) sequence: i64,
}

impl Snapshot {
    pub(super) async fn take(store: &Store) -> Result<Self, StoreError> {
        Ok(Self { store: store.clone(), tx: store.snapshot().await? })
    }

    /// The last sequence number handed out.
    pub(super) async fn last_sequence(&self) -> Result<i64, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            last_sequence: i64,
        }
        let rows =
            self.all::<Row>("select last_sequence from journal_head where id = 1", []).await?;
        rows.first()
            .map(|row| row.last_sequence)
            .ok_or_else(|| StoreError::inconsistent("journal_head", "id", 1))
    }

    /// Accounts in a range of the journal, in order.
    pub(super) async fn accounts(
        &self,
        first: i64,
        last: i64,
    ) -> Result<Vec<AccountRow>, StoreError> {
        let sql = format!(
            "select {ACCOUNT_COLUMNS} where a.sequence between $1 and $2 order by a.sequence"
        );
        self.all(&sql, [first.into(), last.into()]).await
    }

    /// The changes of accounts in a range, in order.
    pub(super) async fn changes(
        &self,
        first: i64,
        last: i64,
    ) -> Result<Vec<ChangeRow>, StoreError> {
        let sql = "select sequence, account_sequence, status, changed_at from account_changes \
                   where sequence between $1 and $2 order by sequence";
        self.all(sql, [first.into(), last.into()]).await
    }

    /// The transactions in a range, in order.
    pub(super) async fn transactions(
        &self,
        first: i64,
        last: i64,
    ) -> Result<Vec<RecordRow>, StoreError> {
        let sql = "select sequence, recorded_at from transactions \
                   where sequence between $1 and $2 order by sequence";
        self.all(sql, [first.into(), last.into()]).await
    }

    /// The reversals in a range, in order.
    pub(super) async fn reversals(
        &self,
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
        self.all(sql, [first.into(), last.into()]).await
    }

    /// The entries of a range of the journal, in order.
    pub(super) async fn entries(&self, first: i64, last: i64) -> Result<Vec<EntryRow>, StoreError> {
        let sql = "select entry_key, account_sequence, amount, balance_after, previous \
                   from entries where entry_key between $1 and $2 order by entry_key";
        let keys = [EntryKey::new(first, 0).0.into(), EntryKey::last_of(last).0.into()];
        self.all(sql, keys).await
    }

    /// Where the accounts of a range end their lists, and their limits, in order.
    pub(super) async fn lists(&self, first: i64, last: i64) -> Result<Vec<ListRow>, StoreError> {
        let sql = "select account_sequence, last_entry, entry_count, limits from account_states \
                   where account_sequence between $1 and $2 order by account_sequence";
        self.all(sql, [first.into(), last.into()]).await
    }

    /// Up to `limit` marks after one, in order.
    pub(super) async fn marks(
        &self,
        after: MarkRow,
        limit: i64,
    ) -> Result<Vec<MarkRow>, StoreError> {
        let sql = "select account_sequence, entry_key from entry_marks \
                   where (account_sequence, entry_key) > ($1, $2) \
                   order by account_sequence, entry_key limit $3";
        self.all(sql, [after.account_sequence.into(), after.entry_key.into(), limit.into()]).await
    }

    /// When the records of a range were made, by the last number of each group, up to and with the
    /// one that ends the range.
    pub(super) async fn groups(&self, first: i64, last: i64) -> Result<Vec<RecordRow>, StoreError> {
        let sql = "select last_sequence as sequence, recorded_at from journal_groups \
                   where last_sequence between $1 and (select min(last_sequence) \
                       from journal_groups where last_sequence >= $2) order by last_sequence";
        self.all(sql, [first.into(), last.into()]).await
    }

    /// The changes of limits in a range, in order.
    pub(super) async fn limit_changes(
        &self,
        first: i64,
        last: i64,
    ) -> Result<Vec<LimitChangeRow>, StoreError> {
        let sql = "select sequence, account_sequence, limits, changed_at from limit_changes \
                   where sequence between $1 and $2 order by sequence";
        self.all(sql, [first.into(), last.into()]).await
    }

    /// The holds of a range, in order. One without a state shows by its absence.
    pub(super) async fn holds(&self, first: i64, last: i64) -> Result<Vec<HoldRow>, StoreError> {
        let sql = "select h.sequence, h.tolerance, h.expires_at, h.created_at, s.status, s.captured, \
                   s.ended_by, s.expires_at as state_expires_at from holds h join hold_states s on s.hold_sequence = h.sequence \
                   where h.sequence between $1 and $2 order by h.sequence";
        self.all(sql, [first.into(), last.into()]).await
    }

    /// The legs of the holds of a range, in order.
    pub(super) async fn hold_legs(
        &self,
        first: i64,
        last: i64,
    ) -> Result<Vec<HoldLegRow>, StoreError> {
        let sql = "select hold_sequence, account_sequence, amount from hold_legs \
                   where hold_sequence between $1 and $2 order by hold_sequence, leg_no";
        self.all(sql, [first.into(), last.into()]).await
    }

    /// The ends of holds in a range, in order.
    pub(super) async fn hold_changes(
        &self,
        first: i64,
        last: i64,
    ) -> Result<Vec<HoldChangeRow>, StoreError> {
        let sql = "select sequence, hold_sequence, status, changed_at from hold_changes \
                   where sequence between $1 and $2 order by sequence";
        self.all(sql, [first.into(), last.into()]).await
    }

    /// The captures in a range, in order.
    pub(super) async fn captures(
        &self,
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
        self.all(sql, [first.into(), last.into()]).await
    }

    /// Rows that lie outside the journal's range or belong to nothing, up to `limit`.
    pub(super) async fn strays(&self, last: i64, limit: i64) -> Result<Vec<StrayRow>, StoreError> {
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
                   union all select 'the state of no account', account_sequence \
                   from account_states s where not exists \
                       (select 1 from accounts a where a.sequence = s.account_sequence) \
                   limit $2";
        self.all(sql, [last.into(), limit.into()]).await
    }

    async fn all<R: FromQueryResult>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<R>, StoreError> {
        Ok(R::find_by_statement(self.store.statement(sql, values)).all(&self.tx).await?)
    }
}
