//! Reading the journal, the same on every store.

use super::encode::{self, ACCOUNT_COLUMNS, AccountRow};
use kernel::{Page, PageLimit, Timestamp};
use ledger_api::{Account, AccountId, Entry, EntryKey, Leg, Transaction, TransactionId};
use std::collections::{BTreeMap, BTreeSet};
use store::sea_orm::{self, ConnectionTrait, FromQueryResult, Value};
use store::{Store, StoreError};
use uuid::Uuid;

#[derive(Clone, Debug)]
pub(crate) struct Journal {
    store: Store,
}

/// A change of an account's status.
#[derive(Debug, FromQueryResult)]
pub(crate) struct AccountChangeRow {
    pub(crate) sequence: i64,
    pub(crate) id: Uuid,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) changed_at: i64,
}

/// The totals of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrialBalanceLine {
    pub(crate) currency: kernel::Currency,
    pub(crate) accounts: i64,
    pub(crate) debits: i128,
    pub(crate) credits: i128,
}

#[derive(FromQueryResult)]
struct TransactionRow {
    sequence: i64,
    id: Uuid,
    kind: String,
    description: Option<String>,
    reference: Option<String>,
    metadata: Option<String>,
    effective_at: i64,
    recorded_at: i64,
    reverses: Option<Uuid>,
}

#[derive(FromQueryResult)]
struct LegRow {
    transaction_sequence: i64,
    account_id: Uuid,
    currency_code: String,
    amount: i64,
}

/// Database parameters are bounded; a list longer than this is asked for in parts.
const IDS_PER_QUERY: usize = 500;

impl Journal {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The last number given out.
    pub(crate) async fn last_sequence(&self) -> Result<i64, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            last_sequence: i64,
        }
        let sql = "select last_sequence from journal_head where id = 1";
        let rows = self.all::<Row>(sql, []).await?;
        let head = rows.first().ok_or_else(|| StoreError::inconsistent("journal_head", "id", 1))?;
        Ok(head.last_sequence)
    }

    pub(crate) async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError> {
        let ids: BTreeSet<AccountId> = ids.iter().copied().collect();
        let ids: Vec<AccountId> = ids.into_iter().collect();
        if ids.len() <= IDS_PER_QUERY {
            return self.accounts_on(self.store.read(), &ids).await;
        }
        // Several queries must see one instant.
        let snapshot = self.store.snapshot().await?;
        let mut accounts = Vec::with_capacity(ids.len());
        for part in ids.chunks(IDS_PER_QUERY) {
            accounts.extend(self.accounts_on(&snapshot, part).await?);
        }
        Ok(accounts)
    }

    async fn accounts_on(
        &self,
        connection: &impl ConnectionTrait,
        ids: &[AccountId],
    ) -> Result<Vec<Account>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let statement =
            self.store.statement(&accounts_sql(ids.len()), ids.iter().map(|id| id.0.into()));
        let rows = AccountRow::find_by_statement(statement).all(connection).await?;
        rows.into_iter().map(AccountRow::into_account).collect()
    }

    /// Accounts by their place in the journal, from just after `sequence`.
    pub(crate) async fn accounts_after(
        &self,
        sequence: i64,
        limit: i64,
    ) -> Result<Vec<AccountRow>, StoreError> {
        let sql =
            format!("select {ACCOUNT_COLUMNS} where a.sequence > $1 order by a.sequence limit $2");
        self.all(&sql, [sequence.into(), limit.into()]).await
    }

    /// Changes of accounts by their place in the journal, from just after `sequence`.
    pub(crate) async fn account_changes_after(
        &self,
        sequence: i64,
        limit: i64,
    ) -> Result<Vec<AccountChangeRow>, StoreError> {
        self.all(ACCOUNT_CHANGES_SQL, [sequence.into(), limit.into()]).await
    }

    pub(crate) async fn transaction(
        &self,
        id: TransactionId,
    ) -> Result<Option<Transaction>, StoreError> {
        let rows = self.all::<TransactionRow>(TRANSACTION_SQL, [id.0.into()]).await?;
        Ok(self.with_legs(rows).await?.pop())
    }

    /// Transactions by their place in the journal, from just after `sequence`.
    pub(crate) async fn transactions_after(
        &self,
        sequence: i64,
        limit: i64,
    ) -> Result<Vec<Transaction>, StoreError> {
        let sql = "select sequence, id, kind, description, reference, metadata, effective_at, \
                   recorded_at, reverses from transactions where sequence > $1 order by sequence limit $2";
        let rows = self.all(sql, [sequence.into(), limit.into()]).await?;
        self.with_legs(rows).await
    }

    async fn with_legs(&self, rows: Vec<TransactionRow>) -> Result<Vec<Transaction>, StoreError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok(Vec::new());
        };
        let range = [first.sequence.into(), last.sequence.into()];
        let mut legs: BTreeMap<i64, Vec<Leg>> = BTreeMap::new();
        for row in self.all::<LegRow>(LEGS_SQL, range).await? {
            let leg = encode::leg_from(row.account_id, row.amount, &row.currency_code)?;
            legs.entry(row.transaction_sequence).or_default().push(leg);
        }
        rows.into_iter()
            .map(|row| {
                Ok(Transaction {
                    id: TransactionId(row.id),
                    sequence: row.sequence,
                    kind: row.kind,
                    description: row.description,
                    reference: row.reference,
                    effective_at: Timestamp::from_micros(row.effective_at),
                    recorded_at: Timestamp::from_micros(row.recorded_at),
                    metadata: encode::metadata_from(row.metadata.as_deref(), row.id)?,
                    legs: legs.remove(&row.sequence).unwrap_or_default(),
                    reverses: row.reverses.map(TransactionId),
                })
            })
            .collect()
    }

    pub(crate) async fn entries(
        &self,
        account: AccountId,
        after: Option<EntryKey>,
        limit: PageLimit,
    ) -> Result<Page<Entry>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            transaction_sequence: i64,
            leg_no: i64,
            amount: i64,
            balance_after: i64,
            currency_code: String,
            id: Uuid,
            kind: String,
            description: Option<String>,
            reference: Option<String>,
            effective_at: i64,
            recorded_at: i64,
        }
        let (sequence, leg_no) = after.unwrap_or(EntryKey(i64::MAX)).parts();
        let binds =
            [account.0.into(), sequence.into(), leg_no.into(), limit.rows_to_fetch().into()];
        let rows = self.all::<Row>(ENTRIES_SQL, binds).await?;
        let entries = rows
            .into_iter()
            .map(|row| {
                let leg = encode::leg_from(account.0, row.amount, &row.currency_code)?;
                Ok(Entry {
                    key: EntryKey::new(row.transaction_sequence, row.leg_no),
                    transaction_id: TransactionId(row.id),
                    direction: leg.direction,
                    amount: leg.amount,
                    balance_after: row.balance_after,
                    kind: row.kind,
                    description: row.description,
                    reference: row.reference,
                    effective_at: Timestamp::from_micros(row.effective_at),
                    recorded_at: Timestamp::from_micros(row.recorded_at),
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Page::from_rows(entries, limit, |entry| entry.key.into()))
    }

    /// Totals per currency, all accounts as of one instant. Sums are taken in two halves because they
    /// may exceed 64 bits where no single account does.
    pub(crate) async fn trial_balance(&self) -> Result<Vec<TrialBalanceLine>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            currency_code: String,
            accounts: i64,
            debits_high: i64,
            debits_low: i64,
            credits_high: i64,
            credits_low: i64,
        }
        let sql = "select currency_code, count(*) as accounts, \
                   cast(sum(posted_debits / 1000000000) as bigint) as debits_high, \
                   cast(sum(posted_debits % 1000000000) as bigint) as debits_low, \
                   cast(sum(posted_credits / 1000000000) as bigint) as credits_high, \
                   cast(sum(posted_credits % 1000000000) as bigint) as credits_low \
                   from account_states group by currency_code order by currency_code";
        let whole = |high: i64, low: i64| {
            i128::from(high).saturating_mul(1_000_000_000).saturating_add(i128::from(low))
        };
        self.all::<Row>(sql, [])
            .await?
            .into_iter()
            .map(|row| {
                Ok(TrialBalanceLine {
                    currency: encode::currency_from(&row.currency_code, Uuid::nil())?,
                    accounts: row.accounts,
                    debits: whole(row.debits_high, row.debits_low),
                    credits: whole(row.credits_high, row.credits_low),
                })
            })
            .collect()
    }

    async fn all<R: FromQueryResult>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<R>, StoreError> {
        let statement = self.store.statement(sql, values);
        Ok(R::find_by_statement(statement).all(self.store.read()).await?)
    }
}

/// A page of changes of accounts.
pub(super) const ACCOUNT_CHANGES_SQL: &str = "select c.sequence, a.id, c.status, c.reason, \
     c.changed_at from account_changes c join accounts a on a.sequence = c.account_sequence \
     where c.sequence > $1 order by c.sequence limit $2";

/// A transaction by its id.
pub(super) const TRANSACTION_SQL: &str = "select sequence, id, kind, description, reference, metadata, \
     effective_at, recorded_at, reverses from transactions where id = $1";

/// The legs of a range of transactions.
pub(super) const LEGS_SQL: &str = "select e.transaction_sequence, a.id as account_id, s.currency_code, \
     e.amount from entries e join accounts a on a.sequence = e.account_sequence \
     join account_states s on s.account_sequence = a.sequence \
     where e.transaction_sequence between $1 and $2 order by e.transaction_sequence, e.leg_no";

/// A page of an account's entries. The account's number comes from a subquery and not from a join: only
/// then does PostgreSQL know that there is one, reads the index in its order and stops at the limit,
/// instead of sorting the whole history of a busy account for each page.
pub(super) const ENTRIES_SQL: &str = "select e.transaction_sequence, e.leg_no, e.amount, \
     e.balance_after, s.currency_code, t.id, t.kind, t.description, t.reference, t.effective_at, \
     t.recorded_at \
     from entries e join account_states s on s.account_sequence = e.account_sequence \
     join transactions t on t.sequence = e.transaction_sequence \
     where e.account_sequence = (select sequence from accounts where id = $1) \
     and (e.transaction_sequence, e.leg_no) < ($2, $3) \
     order by e.transaction_sequence desc, e.leg_no desc limit $4";

/// Accounts by their ids, `count` of them.
pub(super) fn accounts_sql(count: usize) -> String {
    format!("select {ACCOUNT_COLUMNS} where a.id in ({})", binds(count))
}

/// `$1, $2, …` for a list of `count` values.
fn binds(count: usize) -> String {
    (1..=count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

impl TrialBalanceLine {
    pub(crate) fn is_balanced(&self) -> bool {
        self.debits == self.credits
    }
}
