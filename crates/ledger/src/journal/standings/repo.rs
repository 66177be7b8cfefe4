//! Reading where accounts stand.

use crate::engine::{IdMap, Stands};
use crate::journal::encode::{ACCOUNT_COLUMNS, ACCOUNT_TABLES, AccountRow};
use crate::journal::repo::{Journal, binds};
use ledger_api::{Account, AccountId};
use std::collections::BTreeSet;
use std::time::Duration;
use store::StoreError;
use store::sea_orm::{self, ConnectionTrait, DatabaseTransaction, FromQueryResult};
use uuid::Uuid;

/// Database parameters are bounded; a list longer than this is asked for in parts.
const IDS_PER_QUERY: usize = 500;

/// How often a reader looks whether the engine is where the journal is. Usually the first time will do; the
/// longest that the engine is not is while SQLite copies its log into the database within a commit.
const ATTEMPTS: u64 = 100;

/// How long to wait before the next attempt: about a second in all.
async fn pause(attempt: u64) {
    tokio::time::sleep(Duration::from_millis(attempt.clamp(1, 10))).await;
}

/// What the rows that are behind lack, account by account: the entries after `journal_head.states_through` that
/// come after the row's own last one.
pub(crate) const BEHIND_SQL: &str = "select e.account_sequence, \
     cast(sum(case when e.amount > 0 then e.amount else 0 end) as bigint) as debits, \
     cast(sum(case when e.amount < 0 then -e.amount else 0 end) as bigint) as credits, \
     max(e.entry_key) as last_entry, count(*) as entry_count \
     from journal_head h cross join entries e cross join account_states s \
     where h.id = 1 and e.entry_key >= (h.states_through + 1) * 1024 \
     and s.account_sequence = e.account_sequence and e.entry_key > coalesce(s.last_entry, 0) \
     group by e.account_sequence";

/// The end of the journal.
#[derive(Clone, Copy, Debug, FromQueryResult)]
struct HeadRow {
    last_sequence: i64,
    states_through: Option<i64>,
}

const HEAD_SQL: &str = "select last_sequence, states_through from journal_head where id = 1";

/// An account, and the end of the journal when it was read.
#[derive(FromQueryResult)]
struct StoredAccount {
    #[sea_orm(nested)]
    account: AccountRow,
    #[sea_orm(nested)]
    head: HeadRow,
}

#[derive(FromQueryResult)]
struct BehindRow {
    id: Uuid,
    debits: i64,
    credits: i64,
    last_entry: i64,
}

/// The newest entry of an account.
enum Newest {
    /// The one that its row names.
    InRow,
    /// Another one, or none.
    Known(Option<i64>),
    /// The engine is not where the journal is.
    Unknown,
}

impl Journal {
    /// Accounts with their balances, all as of one instant.
    pub(crate) async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError> {
        let ids: BTreeSet<AccountId> = ids.iter().copied().collect();
        let ids: Vec<AccountId> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        for attempt in 0..ATTEMPTS {
            let rows = match ids.len() {
                0..=IDS_PER_QUERY => self.rows_of(self.store().read(), &ids).await?,
                // Several queries must see one instant.
                _ => self.rows_of(&self.store().snapshot().await?, &ids).await?,
            };
            if let Some(accounts) = self.as_of_now(rows) {
                return accounts.into_iter().map(AccountRow::into_account).collect();
            }
            pause(attempt).await;
        }
        let snapshot = self.store().snapshot().await?;
        let mut behind: IdMap<Uuid, BehindRow> = IdMap::default();
        for row in self.behind(&snapshot).await? {
            behind.insert(row.id, row);
        }
        let rows = self.rows_of(&snapshot, &ids).await?;
        let accounts = rows.into_iter().map(|StoredAccount { mut account, .. }| {
            if let Some(more) = behind.get(&account.id) {
                // Counters fit, or nothing would have been posted.
                account.posted_debits = account.posted_debits.saturating_add(more.debits);
                account.posted_credits = account.posted_credits.saturating_add(more.credits);
            }
            account.into_account()
        });
        accounts.collect()
    }

    async fn rows_of(
        &self,
        connection: &impl ConnectionTrait,
        ids: &[AccountId],
    ) -> Result<Vec<StoredAccount>, StoreError> {
        let mut rows = Vec::with_capacity(ids.len());
        for part in ids.chunks(IDS_PER_QUERY) {
            let binds = part.iter().map(|id| id.0.into());
            let statement = self.store().statement(&accounts_sql(part.len()), binds);
            rows.extend(StoredAccount::find_by_statement(statement).all(connection).await?);
        }
        Ok(rows)
    }

    /// The rows with the standings that they may not have yet; `None` if these cannot be told.
    fn as_of_now(&self, rows: Vec<StoredAccount>) -> Option<Vec<AccountRow>> {
        let head = rows.first().map(|row| row.head);
        let mut accounts: Vec<AccountRow> = rows.into_iter().map(|row| row.account).collect();
        let Some(HeadRow { last_sequence, states_through: Some(through) }) = head else {
            return Some(accounts);
        };
        let ids: Vec<AccountId> = accounts.iter().map(|row| AccountId(row.id)).collect();
        let known = self.standings().at(last_sequence, through, &ids)?;
        let known: IdMap<Uuid, Stands> =
            known.into_iter().map(|stands| (stands.account.0, stands)).collect();
        for account in &mut accounts {
            if let Some(Stands { balances, .. }) = known.get(&account.id) {
                account.posted_debits = balances.posted_debits;
                account.posted_credits = balances.posted_credits;
                account.pending_debits = balances.pending_debits;
                account.pending_credits = balances.pending_credits;
            }
        }
        Some(accounts)
    }

    /// The newest entry of an account, when its row may not name it; to be asked for before the list is read.
    pub(crate) async fn newest_entry(&self, account: AccountId) -> Result<Option<i64>, StoreError> {
        if !self.standings().are_kept() {
            return Ok(None);
        }
        for attempt in 0..ATTEMPTS {
            match self.newest_entry_on(self.store().read(), account).await? {
                Newest::InRow => return Ok(None),
                Newest::Known(entry) => return Ok(entry),
                Newest::Unknown => pause(attempt).await,
            }
        }
        self.newest_of_entries(self.store().read(), account).await
    }

    /// A snapshot, and the newest entry of an account in it when its row may not name it.
    pub(crate) async fn snapshot_of(
        &self,
        account: AccountId,
    ) -> Result<(DatabaseTransaction, Option<i64>), StoreError> {
        for attempt in 0..ATTEMPTS {
            let snapshot = self.store().snapshot().await?;
            if !self.standings().are_kept() {
                return Ok((snapshot, None));
            }
            match self.newest_entry_on(&snapshot, account).await? {
                Newest::InRow => return Ok((snapshot, None)),
                Newest::Known(entry) => return Ok((snapshot, entry)),
                Newest::Unknown => pause(attempt).await,
            }
        }
        let snapshot = self.store().snapshot().await?;
        let entry = self.newest_of_entries(&snapshot, account).await?;
        Ok((snapshot, entry))
    }

    async fn newest_entry_on(
        &self,
        connection: &impl ConnectionTrait,
        account: AccountId,
    ) -> Result<Newest, StoreError> {
        let statement = self.store().statement(HEAD_SQL, []);
        let head = HeadRow::find_by_statement(statement).one(connection).await?;
        let head = head.ok_or_else(|| StoreError::inconsistent("journal_head", "id", 1))?;
        let Some(through) = head.states_through else { return Ok(Newest::InRow) };
        Ok(match self.standings().at(head.last_sequence, through, &[account]) {
            None => Newest::Unknown,
            Some(known) => match known.first() {
                Some(stands) => Newest::Known(stands.last_entry),
                None => Newest::InRow,
            },
        })
    }

    async fn newest_of_entries(
        &self,
        connection: &impl ConnectionTrait,
        account: AccountId,
    ) -> Result<Option<i64>, StoreError> {
        let behind = self.behind(connection).await?;
        Ok(behind.into_iter().find(|row| row.id == account.0).map(|row| row.last_entry))
    }

    async fn behind(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<Vec<BehindRow>, StoreError> {
        let sql = format!(
            "select a.id, b.debits, b.credits, b.last_entry from ({BEHIND_SQL}) as b \
             join accounts a on a.sequence = b.account_sequence"
        );
        let statement = self.store().statement(&sql, []);
        Ok(BehindRow::find_by_statement(statement).all(connection).await?)
    }
}

/// Accounts by their ids, `count` of them, and the end of the journal.
pub(in crate::journal) fn accounts_sql(count: usize) -> String {
    format!(
        "select {ACCOUNT_COLUMNS}, \
         (select h.last_sequence from journal_head h where h.id = 1) as last_sequence, \
         (select h.states_through from journal_head h where h.id = 1) as states_through \
         {ACCOUNT_TABLES} where a.id in ({})",
        binds(count)
    )
}
