//! What verification reads: one unchanging state of the journal, in steps.

use crate::journal::encode::{ACCOUNT_COLUMNS, AccountRow};
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
    pub(super) transaction_sequence: i64,
    pub(super) leg_no: i64,
    pub(super) account_sequence: i64,
    pub(super) amount: i64,
    pub(super) balance_after: i64,
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
                   (select count(*) from entries x where x.transaction_sequence = t.sequence) \
                       as legs, \
                   (select count(*) from entries y where y.transaction_sequence = o.sequence) \
                       as original_legs, \
                   (select count(*) from entries x join entries y on y.leg_no = x.leg_no \
                       where x.transaction_sequence = t.sequence \
                       and y.transaction_sequence = o.sequence \
                       and y.account_sequence = x.account_sequence \
                       and (y.amount > 0) = (x.amount < 0)) as opposite_legs \
                   from transactions t left join transactions o on o.id = t.reverses \
                   left join entries e on e.transaction_sequence = t.sequence and e.leg_no = 0 \
                   left join entries f on f.transaction_sequence = o.sequence and f.leg_no = 0 \
                   where t.sequence between $1 and $2 and t.reverses is not null \
                   order by t.sequence";
        self.all(sql, [first.into(), last.into()]).await
    }

    /// The entries of a range of the journal, in order.
    pub(super) async fn entries(&self, first: i64, last: i64) -> Result<Vec<EntryRow>, StoreError> {
        let sql = "select transaction_sequence, leg_no, account_sequence, amount, balance_after \
                   from entries where transaction_sequence between $1 and $2 \
                   order by transaction_sequence, leg_no";
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
                   union all select 'an entry', transaction_sequence from entries \
                   where transaction_sequence < 1 or transaction_sequence > $1 \
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
