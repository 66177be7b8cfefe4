//! Reading balances and entries as of an instant.

use super::{Place, STATEMENT_ENTRIES_MAX, Statement, Totals, just_before};
use crate::journal::encode::{currency_from, day_of, side_from};
use crate::journal::repo::{EntryRow, Journal};
use crate::journal::standings::repo::Newest;
use kernel::{Money, Page, PageLimit, Timestamp};
use ledger_api::{AccountId, BalanceAsOf, Basis, Entry, EntryKey};
use std::ops::Range;
use store::sea_orm::{self, ConnectionTrait, FromQueryResult, Value};
use store::{Store, StoreError};

/// Where an account stood at a place of the journal.
#[derive(FromQueryResult)]
struct StandingRow {
    sequence: i64,
    currency_code: String,
    normal_side: i64,
    /// The newest entry up to the place and the balance after it; none before the first entry.
    entry_key: Option<i64>,
    balance_after: Option<i64>,
}

#[derive(FromQueryResult)]
struct ShiftsRow {
    /// Recorded up to the place, whatever the value date.
    recorded: i64,
    /// With a value date on an earlier day, and on the same day up to the instant.
    days: i64,
    same_day: i64,
}

#[derive(FromQueryResult)]
struct SumsRow {
    raised: i64,
    raised_count: i64,
    lowered: i64,
    lowered_count: i64,
}

impl Journal {
    /// The balance of an account as of an instant; `None` if there is no such account.
    ///
    /// What is recorded up to a place never changes, so the statements need no common snapshot: what
    /// comes between them comes after the place.
    pub(crate) async fn balance_as_of(
        &self,
        id: AccountId,
        at: Option<Timestamp>,
        now: Timestamp,
        basis: Basis,
    ) -> Result<Option<BalanceAsOf>, StoreError> {
        let reads = Reads { store: self.store(), connection: self.store().read() };
        let place = reads.place(at, now).await?;
        let newest = self.newest(id).await?.entry;
        let standing = reads.standing(id, newest, place.last_key()).await?;
        let Some(standing) = standing else { return Ok(None) };
        let balance = reads.balance(&standing, place, basis).await?;
        let currency = currency_from(&standing.currency_code, id.0)?;
        Ok(Some(BalanceAsOf {
            account: id,
            at: place.at,
            basis,
            balance: Money::new(balance, currency),
            as_of_sequence: match basis {
                Basis::Recorded => place.sequence,
                Basis::Effective => place.head,
            },
        }))
    }

    /// What happened on an account in a period, as of one instant; `None` if there is no such account.
    pub(crate) async fn statement(
        &self,
        id: AccountId,
        period: Range<Timestamp>,
        basis: Basis,
    ) -> Result<Option<Result<Statement, PeriodTooLong>>, StoreError> {
        let (snapshot, Newest { entry: newest, .. }) = self.snapshot_of(id).await?;
        let reads = Reads { store: self.store(), connection: &snapshot };
        let before = reads.place(Some(just_before(period.start)), period.start).await?;
        let end = reads.place(Some(just_before(period.end)), period.end).await?;
        let first = reads.standing(id, newest, before.last_key()).await?;
        let last = reads.standing(id, newest, end.last_key()).await?;
        let (Some(first), Some(last)) = (first, last) else { return Ok(None) };
        let mut totals = reads.recorded_totals(&last, before.last_key()).await?;
        let mut too_long = is_too_long(totals);
        if basis == Basis::Effective {
            let keys = (before.last_key(), end.last_key());
            let moved_away = reads.shifted_totals(SHIFTED_RECORDED_SQL, &last, keys).await?;
            let dates = (before.at.as_micros(), end.at.as_micros());
            let moved_here = reads.shifted_totals(SHIFTED_EFFECTIVE_SQL, &last, dates).await?;
            too_long = too_long || is_too_long(moved_away) || is_too_long(moved_here);
            totals = totals.minus(moved_away).plus(moved_here);
        }
        if too_long {
            return Ok(Some(Err(PeriodTooLong)));
        }
        Ok(Some(Ok(Statement {
            account: id,
            currency: currency_from(&last.currency_code, id.0)?,
            basis,
            opening: reads.balance(&first, before, basis).await?,
            closing: reads.balance(&last, end, basis).await?,
            period,
            totals,
            as_of_sequence: match basis {
                Basis::Recorded => end.sequence,
                Basis::Effective => end.head,
            },
        })))
    }

    /// The numbers of the records of a period, the first one left out; no bound where none is given.
    pub(crate) async fn sequences_within(
        &self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<(i64, i64), StoreError> {
        let reads = Reads { store: self.store(), connection: self.store().read() };
        let after = match from {
            Some(from) => reads.place(Some(just_before(from)), from).await?.sequence,
            None => 0,
        };
        let until = match to {
            Some(to) => reads.place(Some(just_before(to)), to).await?.sequence,
            // The last number whose entries have keys.
            None => i64::MAX / 1_024 - 1,
        };
        Ok((after, until))
    }

    /// The entries of an account that were recorded in a period, newest first, after a key.
    pub(crate) async fn entries_within(
        &self,
        id: AccountId,
        (from, to): (Option<Timestamp>, Option<Timestamp>),
        after: Option<EntryKey>,
        limit: PageLimit,
    ) -> Result<Page<Entry>, StoreError> {
        let (first, last) = self.sequences_within(from, to).await?;
        let (first, mut last) = (EntryKey::last_of(first).0, EntryKey::last_of(last).0);
        if let Some(EntryKey(after)) = after {
            last = last.min(after.saturating_sub(1));
        }
        let reads = Reads { store: self.store(), connection: self.store().read() };
        let newest = self.newest(id).await?.entry;
        let standing = reads.standing(id, newest, last).await?;
        let newest = standing.and_then(|standing| standing.entry_key);
        let Some(newest) = newest else { return Ok(Page { items: Vec::new(), next: None }) };
        let binds = [newest.into(), first.into(), limit.rows_to_fetch().into()];
        let mut rows = self.all::<EntryRow>(PERIOD_ENTRIES_SQL, binds).await?;
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.entry_key));
        let entries = rows.into_iter().map(|row| row.into_entry(id));
        let entries = entries.collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Page::from_rows(entries, limit, |entry| entry.key.into()))
    }
}

/// A period has more entries than a statement adds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeriodTooLong;

fn is_too_long(totals: Totals) -> bool {
    totals.entries() > STATEMENT_ENTRIES_MAX
}

/// One connection, which may see one state of the store.
struct Reads<'a, C> {
    store: &'a Store,
    connection: &'a C,
}

impl<C: ConnectionTrait> Reads<'_, C> {
    /// The place of an instant. When none is asked for, it is the end of the journal at `now`, or a little
    /// later when the journal was written by a machine whose clock is ahead.
    async fn place(&self, at: Option<Timestamp>, now: Timestamp) -> Result<Place, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            last_sequence: i64,
            last_recorded_at: i64,
            sequence: i64,
        }
        let asked = at.unwrap_or(now);
        let row = self.one::<Row>(PLACE_SQL, [asked.as_micros().into()]).await?;
        let row = row.ok_or_else(|| StoreError::inconsistent("journal_head", "id", 1))?;
        let last_recorded_at = Timestamp::from_micros(row.last_recorded_at);
        let (at, sequence) = match at {
            Some(at) => (at, row.sequence),
            None => (now.max(last_recorded_at), row.last_sequence),
        };
        Ok(Place { at, sequence, head: row.last_sequence })
    }

    async fn standing(
        &self,
        id: AccountId,
        newest: Option<i64>,
        last_key: i64,
    ) -> Result<Option<StandingRow>, StoreError> {
        self.one(STANDING_SQL, [id.0.into(), last_key.into(), newest.into()]).await
    }

    async fn balance(
        &self,
        standing: &StandingRow,
        place: Place,
        basis: Basis,
    ) -> Result<i64, StoreError> {
        let recorded = standing.balance_after.unwrap_or(0);
        if basis == Basis::Recorded {
            return Ok(recorded);
        }
        let day = day_of(place.at);
        let binds = [
            standing.sequence.into(),
            place.last_key().into(),
            day.into(),
            day.saturating_mul(DAY_MICROS).into(),
            place.at.as_micros().into(),
        ];
        let shifts = self.one::<ShiftsRow>(SHIFTS_SQL, binds).await?;
        let inconsistent =
            || StoreError::inconsistent("shifted_entries", "account_sequence", standing.sequence);
        let shifts = shifts.ok_or_else(inconsistent)?;
        // In this order each step is a sum over some of the account's entries, which always fits.
        recorded
            .checked_sub(shifts.recorded)
            .and_then(|unshifted| unshifted.checked_add(shifts.days))
            .and_then(|balance| balance.checked_add(shifts.same_day))
            .ok_or_else(inconsistent)
    }

    /// What was recorded after a key, up to where the account stands.
    async fn recorded_totals(&self, last: &StandingRow, after: i64) -> Result<Totals, StoreError> {
        let Some(newest) = last.entry_key else { return Ok(Totals::default()) };
        let binds = [newest.into(), after.into(), STATEMENT_ENTRIES_MAX.into()];
        let sums = self.sums(RECORDED_TOTALS_SQL, binds).await?;
        // Entries are positive for a debit.
        let (raised, lowered) =
            ((sums.raised, sums.raised_count), (sums.lowered, sums.lowered_count));
        Ok(Totals::of_normal_side(raised, lowered, ledger_api::Side::Debit))
    }

    /// Shifted entries of the account with a key or a value date after the first bound and up to the second.
    async fn shifted_totals(
        &self,
        sql: &str,
        account: &StandingRow,
        (after, until): (i64, i64),
    ) -> Result<Totals, StoreError> {
        let limit = STATEMENT_ENTRIES_MAX.saturating_add(1);
        let binds = [account.sequence.into(), after.into(), until.into(), limit.into()];
        let sums = self.sums(sql, binds).await?;
        let normal_side = side_from(account.normal_side, uuid::Uuid::nil())?;
        let (raised, lowered) =
            ((sums.raised, sums.raised_count), (sums.lowered, sums.lowered_count));
        Ok(Totals::of_normal_side(raised, lowered, normal_side))
    }

    async fn sums(
        &self,
        sql: &str,
        binds: impl IntoIterator<Item = Value>,
    ) -> Result<SumsRow, StoreError> {
        let sums = self.one(sql, binds).await?;
        sums.ok_or_else(|| StoreError::inconsistent("entries", "amount", 0))
    }

    async fn one<R: FromQueryResult>(
        &self,
        sql: &str,
        binds: impl IntoIterator<Item = Value>,
    ) -> Result<Option<R>, StoreError> {
        let statement = self.store.statement(sql, binds);
        Ok(R::find_by_statement(statement).one(self.connection).await?)
    }
}

const DAY_MICROS: i64 = 86_400_000_000;

// `cross join` keeps SQLite from joining in another order: once it has statistics it would rather walk
// through all accounts than look up the one that a page is about.

/// The last record up to an instant, and the end of the journal.
pub(in crate::journal) const PLACE_SQL: &str = "select h.last_sequence, h.last_recorded_at, \
     coalesce((select g.last_sequence from journal_groups g where g.recorded_at <= $1 \
               order by g.recorded_at desc, g.last_sequence desc limit 1), 0) as sequence \
     from journal_head h where h.id = 1";

/// An account and its newest entry with a key up to `$2`: from the first mark after the key, or else
/// from the last entry, back along the list. `$3` is the last entry if its row is behind.
pub(in crate::journal) const STANDING_SQL: &str = "with recursive walk \
     (account_sequence, entry_key, balance_after, previous) as (\
         select e.account_sequence, e.entry_key, e.balance_after, e.previous \
         from accounts a cross join account_states s cross join entries e \
         where a.id = $1 and s.account_sequence = a.sequence and e.entry_key = coalesce(\
             (select m.entry_key from entry_marks m \
              where m.account_sequence = a.sequence and m.entry_key > $2 \
              order by m.entry_key limit 1), \
             cast($3 as bigint), s.last_entry) \
         union all \
         select e.account_sequence, e.entry_key, e.balance_after, e.previous \
         from walk w cross join entries e where e.entry_key = w.previous and w.entry_key > $2) \
     select a.sequence, s.currency_code, s.normal_side, w.entry_key, w.balance_after \
     from accounts a join account_states s on s.account_sequence = a.sequence \
     left join walk w on w.account_sequence = a.sequence and w.entry_key <= $2 \
     where a.id = $1";

/// The shifted amounts of an account: recorded up to a key, and with a value date up to an instant.
pub(in crate::journal) const SHIFTS_SQL: &str = "select \
     coalesce((select e.shifted_after from shifted_entries e \
               where e.account_sequence = $1 and e.entry_key <= $2 \
               order by e.entry_key desc limit 1), 0) as recorded, \
     coalesce((select cast(sum(d.amount) as bigint) from shifted_days d \
               where d.account_sequence = $1 and d.day < $3), 0) as days, \
     coalesce((select cast(sum(e.amount) as bigint) from shifted_entries e \
               where e.account_sequence = $1 and e.effective_at >= $4 \
               and e.effective_at <= $5), 0) as same_day";

/// The sums of the entries from a key back to another, which is left out. Entries are positive for a debit.
pub(in crate::journal) const RECORDED_TOTALS_SQL: &str = "with recursive period \
     (amount, previous, place) as (\
         select e.amount, e.previous, cast(1 as bigint) from entries e \
         where e.entry_key = $1 and e.entry_key > $2 \
         union all \
         select e.amount, e.previous, p.place + 1 \
         from period p cross join entries e \
         where e.entry_key = p.previous and e.entry_key > $2 and p.place <= $3) \
     select cast(coalesce(sum(case when amount > 0 then amount end), 0) as bigint) as raised, \
            count(case when amount > 0 then 1 end) as raised_count, \
            cast(coalesce(sum(case when amount < 0 then -amount end), 0) as bigint) as lowered, \
            count(case when amount < 0 then 1 end) as lowered_count \
     from period";

/// The sums of an account's shifted entries with a range of keys.
pub(in crate::journal) const SHIFTED_RECORDED_SQL: &str = "select \
     cast(coalesce(sum(case when amount > 0 then amount end), 0) as bigint) as raised, \
     count(case when amount > 0 then 1 end) as raised_count, \
     cast(coalesce(sum(case when amount < 0 then -amount end), 0) as bigint) as lowered, \
     count(case when amount < 0 then 1 end) as lowered_count \
     from (select amount from shifted_entries where account_sequence = $1 \
           and entry_key > $2 and entry_key <= $3 limit $4) period";

/// The sums of an account's shifted entries with a range of value dates.
pub(in crate::journal) const SHIFTED_EFFECTIVE_SQL: &str = "select \
     cast(coalesce(sum(case when amount > 0 then amount end), 0) as bigint) as raised, \
     count(case when amount > 0 then 1 end) as raised_count, \
     cast(coalesce(sum(case when amount < 0 then -amount end), 0) as bigint) as lowered, \
     count(case when amount < 0 then 1 end) as lowered_count \
     from (select amount from shifted_entries where account_sequence = $1 \
           and effective_at > $2 and effective_at <= $3 limit $4) period";

/// A page of an account's entries from a key back to another, which is left out.
pub(in crate::journal) const PERIOD_ENTRIES_SQL: &str = "with recursive page \
     (entry_key, account_sequence, amount, balance_after, previous, place) as (\
         select e.entry_key, e.account_sequence, e.amount, e.balance_after, e.previous, \
                cast(1 as bigint) \
         from entries e where e.entry_key = $1 and e.entry_key > $2 \
         union all \
         select e.entry_key, e.account_sequence, e.amount, e.balance_after, e.previous, p.place + 1 \
         from page p cross join entries e \
         where e.entry_key = p.previous and e.entry_key > $2 and p.place < $3) \
     select p.entry_key, p.amount, p.balance_after, s.currency_code, t.id, t.kind, t.description, \
            t.reference, t.effective_at, t.recorded_at \
     from page p cross join account_states s cross join transactions t \
     where s.account_sequence = p.account_sequence and t.sequence = p.entry_key / 1024";
