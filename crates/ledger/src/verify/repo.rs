//! What verification reads: one unchanging state of the journal, in steps.

use crate::journal::encode::{ACCOUNT_COLUMNS, AccountRow};
use store::sea_orm::{self, DatabaseTransaction, FromQueryResult, Value};
use store::{Store, StoreError};

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

    /// Sequence numbers of the transactions in a range, in order.
    pub(super) async fn transactions(&self, first: i64, last: i64) -> Result<Vec<i64>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            sequence: i64,
        }
        let sql = "select sequence from transactions where sequence between $1 and $2 \
                   order by sequence";
        let rows = self.all::<Row>(sql, [first.into(), last.into()]).await?;
        Ok(rows.into_iter().map(|row| row.sequence).collect())
    }

    /// The entries of a range of the journal, in order.
    pub(super) async fn entries(&self, first: i64, last: i64) -> Result<Vec<EntryRow>, StoreError> {
        let sql = "select transaction_sequence, leg_no, account_sequence, amount, balance_after \
                   from entries where transaction_sequence between $1 and $2 \
                   order by transaction_sequence, leg_no";
        self.all(sql, [first.into(), last.into()]).await
    }

    /// How many rows lie outside the journal's range or belong to nothing: `(accounts, transactions,
    /// entries, states without an account)`.
    pub(super) async fn strays(&self, last: i64) -> Result<[i64; 4], StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            accounts: i64,
            transactions: i64,
            entries: i64,
            states: i64,
        }
        let sql = "select \
             (select count(*) from accounts where sequence < 1 or sequence > $1) as accounts, \
             (select count(*) from transactions where sequence < 1 or sequence > $1) \
                 as transactions, \
             (select count(*) from entries \
              where transaction_sequence < 1 or transaction_sequence > $1) as entries, \
             (select count(*) from account_states s where not exists \
                 (select 1 from accounts a where a.sequence = s.account_sequence)) as states";
        let rows = self.all::<Row>(sql, [last.into()]).await?;
        Ok(rows.first().map_or([0; 4], |row| {
            [row.accounts, row.transactions, row.entries, row.states]
        }))
    }

    async fn all<R: FromQueryResult>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<R>, StoreError> {
        Ok(R::find_by_statement(self.store.statement(sql, values)).all(&self.tx).await?)
    }
}
