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

/// What the rows that are behind lack of entries, account by account: those after `journal_head.states_through` that
/// come after the row's own last one.
pub(crate) const BEHIND_SQL: &str = "select e.account_sequence, \
     cast(sum(case when e.amount > 0 then e.amount else 0 end) as bigint) as debits, \
     cast(sum(case when e.amount < 0 then -e.amount else 0 end) as bigint) as credits, \
     max(e.entry_key) as last_entry, count(*) as entry_count \
     from journal_head h cross join entries e cross join account_states s \
     where h.id = 1 and e.entry_key >= (h.states_through + 1) * 1024 \
     and s.account_sequence = e.account_sequence and e.entry_key > coalesce(s.last_entry, 0) \
     group by e.account_sequence";

/// What is set aside on the accounts of all holds that were made, captured or ended after
/// `journal_head.states_through`: all there is, whatever their rows have of it, added up from the holds that are
/// pending now. And the newest hold of the account: that of its row, unless one of these is newer.
const HELD_BEHIND_SQL: &str = "select t.account_sequence, \
     coalesce(p.debits, 0) as pending_debits, coalesce(p.credits, 0) as pending_credits, \
     case when r.last_hold > t.last_hold then r.last_hold else t.last_hold end as last_hold \
     from (select l.account_sequence, max(l.hold_sequence) as last_hold from \
               (select m.sequence from journal_head h cross join holds m \
                where h.id = 1 and m.sequence > h.states_through \
                union select m.sequence from journal_head h cross join transactions t cross join holds m \
                where h.id = 1 and t.sequence > h.states_through and t.captures is not null \
                and m.id = t.captures \
                union select c.hold_sequence from journal_head h cross join hold_changes c \
                where h.id = 1 and c.sequence > h.states_through) moved \
           cross join hold_legs l where l.hold_sequence = moved.sequence \
           group by l.account_sequence) t \
     join account_states r on r.account_sequence = t.account_sequence \
     left join (select l.account_sequence, \
                    cast(sum(case when l.amount > 0 then l.amount - s.captured else 0 end) as bigint) \
                        as debits, \
                    cast(sum(case when l.amount < 0 then -l.amount - s.captured else 0 end) as bigint) \
                        as credits \
                from hold_states s cross join hold_legs l \
                where s.status = 'pending' and l.hold_sequence = s.hold_sequence \
                group by l.account_sequence) p on p.account_sequence = t.account_sequence";

/// All that rows of accounts lack: what is to be added to what was posted, and what stands instead of what was
/// pending, of the last entry and of the last hold, unless null. Together, because the database checks a row
/// whenever a part of it is changed.
pub(crate) fn lacking_sql() -> String {
    format!(
        "select b.account_sequence, a.id, cast(sum(b.debits) as bigint) as debits, \
         cast(sum(b.credits) as bigint) as credits, \
         cast(sum(b.entry_count) as bigint) as entry_count, max(b.last_entry) as last_entry, \
         max(b.pending_debits) as pending_debits, max(b.pending_credits) as pending_credits, \
         max(b.last_hold) as last_hold \
         from (select account_sequence, debits, credits, entry_count, last_entry, \
                   cast(null as bigint) as pending_debits, cast(null as bigint) as pending_credits, \
                   cast(null as bigint) as last_hold from ({BEHIND_SQL}) e \
               union all select account_sequence, 0, 0, 0, null, pending_debits, pending_credits, \
                   last_hold from ({HELD_BEHIND_SQL}) h) b \
         join accounts a on a.sequence = b.account_sequence group by b.account_sequence, a.id"
    )
}

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

/// What the row of an account lacks ([`lacking_sql`]).
#[derive(FromQueryResult)]
struct LackingRow {
    id: Uuid,
    debits: i64,
    credits: i64,
    last_entry: Option<i64>,
    pending_debits: Option<i64>,
    pending_credits: Option<i64>,
    last_hold: Option<i64>,
}

/// Where an account's lists of entries and holds begin, each `None` where the account's row says so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Newest {
    /// The key of its newest entry.
    pub(crate) entry: Option<i64>,
    /// The number of its newest hold.
    pub(crate) hold: Option<i64>,
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
        let lacking = self.lacking(&snapshot).await?;
        let rows = self.rows_of(&snapshot, &ids).await?;
        let accounts = rows.into_iter().map(|StoredAccount { mut account, .. }| {
            if let Some(row) = lacking.get(&account.id) {
                // Counters fit, or nothing would have been posted.
                account.posted_debits = account.posted_debits.saturating_add(row.debits);
                account.posted_credits = account.posted_credits.saturating_add(row.credits);
                account.pending_debits = row.pending_debits.unwrap_or(account.pending_debits);
                account.pending_credits = row.pending_credits.unwrap_or(account.pending_credits);
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

    /// Where an account's lists begin, when its row may not say so; to be asked for before a list is read.
    pub(crate) async fn newest(&self, account: AccountId) -> Result<Newest, StoreError> {
        if !self.standings().are_kept() {
            return Ok(Newest::default());
        }
        for attempt in 0..ATTEMPTS {
            match self.newest_known(self.store().read(), account).await? {
                Some(newest) => return Ok(newest),
                None => pause(attempt).await,
            }
        }
        self.newest_lacking(self.store().read(), account).await
    }

    /// A snapshot, and where an account's lists begin in it when its row may not say so.
    pub(crate) async fn snapshot_of(
        &self,
        account: AccountId,
    ) -> Result<(DatabaseTransaction, Newest), StoreError> {
        for attempt in 0..ATTEMPTS {
            let snapshot = self.store().snapshot().await?;
            if !self.standings().are_kept() {
                return Ok((snapshot, Newest::default()));
            }
            match self.newest_known(&snapshot, account).await? {
                Some(newest) => return Ok((snapshot, newest)),
                None => pause(attempt).await,
            }
        }
        let snapshot = self.store().snapshot().await?;
        let newest = self.newest_lacking(&snapshot, account).await?;
        Ok((snapshot, newest))
    }

    /// `None` if the engine is not where the journal is.
    async fn newest_known(
        &self,
        connection: &impl ConnectionTrait,
        account: AccountId,
    ) -> Result<Option<Newest>, StoreError> {
        let statement = self.store().statement(HEAD_SQL, []);
        let head = HeadRow::find_by_statement(statement).one(connection).await?;
        let head = head.ok_or_else(|| StoreError::inconsistent("journal_head", "id", 1))?;
        let Some(through) = head.states_through else { return Ok(Some(Newest::default())) };
        let known = self.standings().at(head.last_sequence, through, &[account]);
        Ok(known.map(|known| match known.first() {
            Some(stands) => Newest { entry: stands.last_entry, hold: stands.last_hold },
            None => Newest::default(),
        }))
    }

    async fn newest_lacking(
        &self,
        connection: &impl ConnectionTrait,
        account: AccountId,
    ) -> Result<Newest, StoreError> {
        let lacking = self.lacking(connection).await?;
        let row = lacking.get(&account.0);
        let entry = row.and_then(|row| row.last_entry);
        Ok(Newest { entry, hold: row.and_then(|row| row.last_hold) })
    }

    async fn lacking(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<IdMap<Uuid, LackingRow>, StoreError> {
        let statement = self.store().statement(&lacking_sql(), []);
        let rows = LackingRow::find_by_statement(statement).all(connection).await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
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
