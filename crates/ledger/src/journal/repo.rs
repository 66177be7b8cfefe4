//! Reading the journal, the same on every store.

use super::encode::{self, HOLD_COLUMNS, HoldRow};
use super::limits::{limits_from, usage_from};
use super::standings::repo::BEHIND_SQL;
use crate::engine::{LimitedAccount, Standings};
use kernel::{Page, PageLimit, Timestamp, UserId};
use ledger_api::{
    AccountId, Entry, EntryKey, Hold, HoldId, Leg, LimitsInUse, Transaction, TransactionId,
};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use store::sea_orm::{self, FromQueryResult, Value};
use store::{Store, StoreError};
use uuid::Uuid;

#[derive(Clone, Debug)]
pub(crate) struct Journal {
    store: Store,
    standings: Standings,
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
pub(super) struct TransactionRow {
    pub(super) sequence: i64,
    id: Uuid,
    kind: String,
    description: Option<String>,
    reference: Option<String>,
    metadata: Option<String>,
    effective_at: i64,
    recorded_at: i64,
    reverses: Option<Uuid>,
    captures: Option<Uuid>,
    initiated_by: Option<Uuid>,
}

#[derive(FromQueryResult)]
pub(super) struct LegRow {
    pub(super) entry_key: i64,
    account_id: Uuid,
    currency_code: String,
    amount: i64,
}

/// Transactions of their rows and their legs, which come in order.
pub(super) fn transactions_from(
    rows: Vec<TransactionRow>,
    leg_rows: Vec<LegRow>,
) -> Result<Vec<Transaction>, StoreError> {
    let mut legs: BTreeMap<i64, Vec<Leg>> = BTreeMap::new();
    for row in leg_rows {
        let leg = encode::leg_from(row.account_id, row.amount, &row.currency_code)?;
        legs.entry(EntryKey(row.entry_key).parts().0).or_default().push(leg);
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
                captures: row.captures.map(HoldId),
                initiated_by: row.initiated_by.map(UserId),
            })
        })
        .collect()
}

/// A line of an account's history.
#[derive(FromQueryResult)]
pub(super) struct EntryRow {
    pub(super) entry_key: i64,
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

impl EntryRow {
    pub(super) fn into_entry(self, account: AccountId) -> Result<Entry, StoreError> {
        let leg = encode::leg_from(account.0, self.amount, &self.currency_code)?;
        Ok(Entry {
            key: EntryKey(self.entry_key),
            transaction_id: TransactionId(self.id),
            direction: leg.direction,
            amount: leg.amount,
            balance_after: self.balance_after,
            kind: self.kind,
            description: self.description,
            reference: self.reference,
            effective_at: Timestamp::from_micros(self.effective_at),
            recorded_at: Timestamp::from_micros(self.recorded_at),
        })
    }
}

impl Journal {
    pub(crate) fn new(store: Store, standings: Standings) -> Self {
        Self { store, standings }
    }

    /// Where accounts stand whose rows are behind.
    pub(super) fn standings(&self) -> &Standings {
        &self.standings
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

    /// The last of these numbers up to which there are no more than `legs` legs of transactions, and of holds,
    /// and at least the first number.
    pub(crate) async fn last_with_legs(
        &self,
        numbers: &RangeInclusive<i64>,
        legs: i64,
    ) -> Result<i64, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            sequence: i64,
        }
        let [first, last] = [*numbers.start(), *numbers.end()];
        let keys = [EntryKey::new(first, 0).0, EntryKey::last_of(last).0];
        let entry = [keys[0].into(), keys[1].into(), legs.into()];
        let leg = [first.into(), last.into(), legs.into()];
        let mut beyond = self.all::<Row>(ENTRY_AFTER_SQL, entry).await?;
        beyond.extend(self.all::<Row>(HOLD_LEG_AFTER_SQL, leg).await?);
        let beyond = beyond.iter().map(|row| row.sequence).min();
        Ok(beyond.map_or(last, |beyond| beyond.saturating_sub(1).max(first)))
    }

    pub(super) async fn hold_with_legs(&self, row: HoldRow) -> Result<Hold, StoreError> {
        let legs = self.all::<LegRow>(HOLD_LEGS_SQL, [row.sequence.into()]).await?;
        let legs = legs
            .into_iter()
            .map(|leg| encode::leg_from(leg.account_id, leg.amount, &leg.currency_code));
        row.into_hold(legs.collect::<Result<_, _>>()?)
    }

    pub(crate) async fn transaction(
        &self,
        id: TransactionId,
    ) -> Result<Option<Transaction>, StoreError> {
        let rows = self.all::<TransactionRow>(TRANSACTION_SQL, [id.0.into()]).await?;
        Ok(self.with_legs(rows).await?.pop())
    }

    async fn with_legs(&self, rows: Vec<TransactionRow>) -> Result<Vec<Transaction>, StoreError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok(Vec::new());
        };
        let (first, last) = (EntryKey::new(first.sequence, 0), EntryKey::last_of(last.sequence));
        let legs = self.all(LEGS_SQL, [first.0.into(), last.0.into()]).await?;
        transactions_from(rows, legs)
    }

    pub(crate) async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        let sql = format!("select {HOLD_COLUMNS} where h.id = $1");
        match self.all::<HoldRow>(&sql, [id.0.into()]).await?.pop() {
            Some(row) => self.hold_with_legs(row).await.map(Some),
            None => Ok(None),
        }
    }

    /// The ids of pending holds that expire at `now` or earlier, the earliest first.
    pub(crate) async fn holds_over_time(
        &self,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<HoldId>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            id: Uuid,
        }
        let rows = self.all::<Row>(OVER_TIME_SQL, [now.as_micros().into(), limit.into()]).await?;
        Ok(rows.into_iter().map(|row| HoldId(row.id)).collect())
    }

    /// The limits of an account and what is used of them at `now`, or a little later when the journal was
    /// written by a machine whose clock is ahead.
    pub(crate) async fn limits(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Option<LimitsInUse>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            sequence: i64,
            limits: Option<String>,
            counter: Option<String>,
            period_start: Option<i64>,
            minor_units: Option<i64>,
            uses: Option<i64>,
            counts_from: Option<i64>,
            last_recorded_at: i64,
        }
        let rows = self.all::<Row>(LIMITS_SQL, [account.0.into()]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        // As the engine decides, whose time never runs backwards.
        let now = now.max(Timestamp::from_micros(first.last_recorded_at));
        let Some(text) = &first.limits else {
            return Ok(Some(LimitedAccount::default().in_use(now)));
        };
        let limits = limits_from(text, first.sequence)?;
        let mut usages = Vec::new();
        for row in &rows {
            if let (Some(counter), Some(start), Some(minor_units), Some(uses), Some(from)) =
                (&row.counter, row.period_start, row.minor_units, row.uses, row.counts_from)
            {
                usages.push(usage_from(counter, (start, minor_units, uses, from), row.sequence)?);
            }
        }
        Ok(Some(LimitedAccount { limits, usages }.in_use(now)))
    }

    pub(crate) async fn entries(
        &self,
        account: AccountId,
        after: Option<EntryKey>,
        limit: PageLimit,
    ) -> Result<Page<Entry>, StoreError> {
        let newest = match after {
            Some(_) => None,
            None => self.newest(account).await?.entry,
        };
        let after = after.map(|key| key.0);
        let binds = [account.0.into(), after.into(), limit.rows_to_fetch().into(), newest.into()];
        let rows = self.all::<EntryRow>(ENTRIES_SQL, binds).await?;
        let entries = rows.into_iter().map(|row| row.into_entry(account));
        let entries = entries.collect::<Result<Vec<_>, StoreError>>()?;
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
        let behind = format!(
            "union all select s.currency_code, 0, b.debits, b.credits from ({BEHIND_SQL}) as b \
             join account_states s on s.account_sequence = b.account_sequence"
        );
        // A planner that does not know that there are none might look for them in all entries.
        let behind = if self.standings.are_kept() { behind } else { String::new() };
        let sql = format!(
            "with totals (currency_code, accounts, debits, credits) as (\
                 select currency_code, 1, posted_debits, posted_credits from account_states \
                 {behind}) \
             select currency_code, cast(sum(accounts) as bigint) as accounts, \
             cast(sum(debits / 1000000000) as bigint) as debits_high, \
             cast(sum(debits % 1000000000) as bigint) as debits_low, \
             cast(sum(credits / 1000000000) as bigint) as credits_high, \
             cast(sum(credits % 1000000000) as bigint) as credits_low \
             from totals group by currency_code order by currency_code"
        );
        let whole = |high: i64, low: i64| {
            i128::from(high).saturating_mul(1_000_000_000).saturating_add(i128::from(low))
        };
        self.all::<Row>(&sql, [])
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

    pub(super) async fn all<R: FromQueryResult>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<R>, StoreError> {
        let statement = self.store.statement(sql, values);
        Ok(R::find_by_statement(statement).all(self.store.read()).await?)
    }
}

/// The name under which other transactions of PostgreSQL see what this one sees.
pub(super) const EXPORT_SNAPSHOT_SQL: &str = "select pg_export_snapshot()";

/// A transaction by its id.
pub(super) const TRANSACTION_SQL: &str = "select sequence, id, kind, description, reference, metadata, \
     effective_at, recorded_at, reverses, captures, initiated_by from transactions where id = $1";

/// The entry in a range of keys that comes after so many.
pub(super) const ENTRY_AFTER_SQL: &str = "select entry_key / 1024 as sequence from entries \
     where entry_key between $1 and $2 order by entry_key limit 1 offset $3";

/// The leg of a hold in a range of numbers that comes after so many.
pub(super) const HOLD_LEG_AFTER_SQL: &str = "select hold_sequence as sequence from hold_legs \
     where hold_sequence between $1 and $2 order by hold_sequence, leg_no limit 1 offset $3";

/// The legs of the entries with a range of keys. Accounts are looked up leg by leg: joined, PostgreSQL would
/// hash all accounts there are for a few legs, as long as it does not know how few they are.
pub(super) const LEGS_SQL: &str = "select e.entry_key, \
     (select a.id from accounts a where a.sequence = e.account_sequence) as account_id, \
     (select s.currency_code from account_states s \
      where s.account_sequence = e.account_sequence) as currency_code, e.amount \
     from entries e where e.entry_key between $1 and $2 order by e.entry_key";

/// A page of an account's entries, newest first, after the one with the key `$2`: each names the one
/// before it, so a page costs the same wherever it is in the list. `$4` is the newest if its row is behind.
pub(super) const ENTRIES_SQL: &str = "with recursive page \
     (entry_key, currency_code, amount, balance_after, previous, place) as (\
         select e.entry_key, s.currency_code, e.amount, e.balance_after, e.previous, \
                cast(1 as bigint) \
         from accounts a join account_states s on s.account_sequence = a.sequence \
         join entries e on e.entry_key = case when cast($2 as bigint) is null \
             then coalesce(cast($4 as bigint), s.last_entry) \
             else (select c.previous from entries c \
                   where c.entry_key = cast($2 as bigint) and c.account_sequence = a.sequence) end \
         where a.id = $1 \
         union all \
         select e.entry_key, p.currency_code, e.amount, e.balance_after, e.previous, p.place + 1 \
         from page p join entries e on e.entry_key = p.previous where p.place < $3) \
     select p.entry_key, p.amount, p.balance_after, p.currency_code, t.id, t.kind, t.description, \
            t.reference, t.effective_at, t.recorded_at \
     from page p join transactions t on t.sequence = p.entry_key / 1024 order by p.place";

/// Pending holds whose time is over.
pub(super) const OVER_TIME_SQL: &str = "select h.id from hold_states s \
     join holds h on h.sequence = s.hold_sequence \
     where s.status = 'pending' and s.expires_at is not null and s.expires_at <= $1 \
     order by s.expires_at, s.hold_sequence limit $2";

/// The limits of an account and what is used of them.
pub(super) const LIMITS_SQL: &str = "select a.sequence, s.limits, u.counter, u.period_start, \
     u.minor_units, u.uses, u.counts_from, \
     (select h.last_recorded_at from journal_head h where h.id = 1) as last_recorded_at \
     from accounts a join account_states s on s.account_sequence = a.sequence \
     left join limit_usages u on u.account_sequence = a.sequence where a.id = $1";

/// The legs of a hold.
pub(super) const HOLD_LEGS_SQL: &str = "select l.leg_no as entry_key, a.id as account_id, \
     s.currency_code, l.amount from hold_legs l join accounts a on a.sequence = l.account_sequence \
     join account_states s on s.account_sequence = a.sequence \
     where l.hold_sequence = $1 order by l.leg_no";

/// `$1, $2, …` for a list of `count` values.
pub(super) fn binds(count: usize) -> String {
    (1..=count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

impl TrialBalanceLine {
    pub(crate) fn is_balanced(&self) -> bool {
        self.debits == self.credits
    }
}
