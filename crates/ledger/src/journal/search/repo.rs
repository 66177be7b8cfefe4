//! Reading what a search finds.

use super::{
    CANDIDATES_MAX, CANDIDATES_PER_QUERY, Candidate, HoldFilter, Search, TransactionFilter,
};
use crate::journal::encode::{HOLD_COLUMNS, HoldRow, hold_status_word};
use crate::journal::repo::{Journal, LegRow, TransactionRow, transactions_from};
use kernel::{Cursor, Page, PageLimit};
use ledger_api::{AccountId, EntryKey, Hold, Transaction};
use store::StoreError;
use store::sea_orm::{self, FromQueryResult, Value};

#[derive(FromQueryResult)]
struct CandidateRow {
    sequence: i64,
    matches: i64,
}

#[derive(FromQueryResult)]
struct SequenceRow {
    sequence: i64,
}

/// SQL and its values, which grow together.
#[derive(Debug, Default)]
pub(in crate::journal) struct Sql {
    pub(in crate::journal) text: String,
    pub(in crate::journal) binds: Vec<Value>,
}

impl Sql {
    /// Adds a value and answers with the word that stands for it.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.binds.push(value.into());
        format!("${}", self.binds.len())
    }
}

/// Which candidates a step asks for: those with a number after the first and up to the second, so many.
#[derive(Clone, Copy, Debug)]
pub(in crate::journal) struct Step {
    pub(in crate::journal) after: i64,
    pub(in crate::journal) until: i64,
    pub(in crate::journal) count: i64,
}

impl Step {
    fn bounds(self, sql: &mut Sql) -> (String, String) {
        (sql.bind(self.after), sql.bind(self.until))
    }
}

/// The list of an account's entries, or of its holds.
#[derive(Clone, Copy, Debug)]
pub(in crate::journal) struct AccountList {
    /// The account's number.
    pub(in crate::journal) sequence: i64,
    /// The newest of them, if the account's row is behind.
    pub(in crate::journal) newest: Option<i64>,
}

impl Journal {
    /// A page of the transactions that a filter lets through, newest first, after the one with a number.
    pub(crate) async fn find_transactions(
        &self,
        filter: &TransactionFilter,
        after: Option<i64>,
        limit: PageLimit,
    ) -> Result<Page<Transaction>, StoreError> {
        let nothing = Page { items: Vec::new(), next: None };
        let account = match filter.account {
            Some(id) => match self.sequence_of(id).await? {
                Some(sequence) => {
                    Some(AccountList { sequence, newest: self.newest(id).await?.entry })
                }
                None => return Ok(nothing),
            },
            None => None,
        };
        let (first, mut until) = self.sequences_within(filter.from, filter.to).await?;
        if let Some(after) = after {
            until = until.min(after.saturating_sub(1));
        }
        let mut search = Search::new(limit);
        while !search.is_done() {
            if let Some(last) = search.last {
                until = last.saturating_sub(1);
            }
            let count = step_size(&search, transaction_filters(filter, account) > 0);
            let bounds = Step { after: first, until, count: to_i64(count) };
            let sql = transactions_sql(filter, account, bounds);
            self.take_step(&mut search, sql, count).await?;
        }
        let (found, next) = search.finish();
        let items = self.transactions_numbered(&found).await?;
        Ok(Page { items, next: next.map(Cursor::from_i64) })
    }

    /// A page of the holds that a filter lets through, newest first, after the one with a number.
    pub(crate) async fn find_holds(
        &self,
        filter: HoldFilter,
        after: Option<i64>,
        limit: PageLimit,
    ) -> Result<Page<Hold>, StoreError> {
        let account = match filter.account {
            Some(id) => match self.sequence_of(id).await? {
                Some(sequence) => {
                    Some(AccountList { sequence, newest: self.newest(id).await?.hold })
                }
                None => return Ok(Page { items: Vec::new(), next: None }),
            },
            None => None,
        };
        let mut until = after.map_or(i64::MAX, |after| after.saturating_sub(1));
        let mut search = Search::new(limit);
        while !search.is_done() {
            if let Some(last) = search.last {
                until = last.saturating_sub(1);
            }
            let count = step_size(&search, filter.status.is_some());
            let sql = holds_sql(filter, account, Step { after: 0, until, count: to_i64(count) });
            self.take_step(&mut search, sql, count).await?;
        }
        let (found, next) = search.finish();
        let mut holds = Vec::with_capacity(found.len());
        for row in self.hold_rows_numbered(&found).await? {
            holds.push(self.hold_with_legs(row).await?);
        }
        Ok(Page { items: holds, next: next.map(Cursor::from_i64) })
    }

    async fn take_step(
        &self,
        search: &mut Search,
        sql: Sql,
        asked: usize,
    ) -> Result<(), StoreError> {
        let mut rows = self.all::<CandidateRow>(&sql.text, sql.binds).await?;
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.sequence));
        let seen = rows.len();
        let candidates =
            rows.iter().map(|row| Candidate { sequence: row.sequence, matches: row.matches == 1 });
        search.take(candidates, asked, seen);
        Ok(())
    }

    async fn sequence_of(&self, account: AccountId) -> Result<Option<i64>, StoreError> {
        let sql = "select sequence from accounts where id = $1";
        let row = self.all::<SequenceRow>(sql, [account.0.into()]).await?.pop();
        Ok(row.map(|row| row.sequence))
    }

    /// Transactions by their numbers, in the order of these.
    async fn transactions_numbered(
        &self,
        sequences: &[i64],
    ) -> Result<Vec<Transaction>, StoreError> {
        let mut transactions = Vec::with_capacity(sequences.len());
        for part in sequences.chunks(RANGES_PER_QUERY) {
            let sql = numbered_transactions_sql(part);
            let mut rows = self.all::<TransactionRow>(&sql.text, sql.binds).await?;
            rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.sequence));
            let sql = numbered_legs_sql(part);
            let mut legs = self.all::<LegRow>(&sql.text, sql.binds).await?;
            legs.sort_unstable_by_key(|leg| leg.entry_key);
            transactions.extend(transactions_from(rows, legs)?);
        }
        Ok(transactions)
    }

    async fn hold_rows_numbered(&self, sequences: &[i64]) -> Result<Vec<HoldRow>, StoreError> {
        if sequences.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = Sql::default();
        let list = list_of(&mut sql, sequences);
        let text = format!("select {HOLD_COLUMNS} where h.sequence in ({list})");
        let mut rows = self.all::<HoldRow>(&text, sql.binds).await?;
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.sequence));
        Ok(rows)
    }
}

/// The legs of so many transactions are asked for at once, each by a range of keys.
const RANGES_PER_QUERY: usize = 50;

fn to_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// One more than is missing, to learn whether there is more; many when filters may turn them down.
fn step_size(search: &Search, is_filtered: bool) -> usize {
    let missing = search.limit.rows().saturating_add(1).saturating_sub(search.found.len());
    let left = CANDIDATES_MAX.saturating_sub(search.looked_at);
    if is_filtered { CANDIDATES_PER_QUERY.min(left).max(1) } else { missing }
}

/// How many filters are asked of each candidate, beside the one that leads to it.
fn transaction_filters(filter: &TransactionFilter, account: Option<AccountList>) -> usize {
    let all = filter
        .metadata
        .len()
        .saturating_add(usize::from(filter.reference.is_some()))
        .saturating_add(usize::from(account.is_some()))
        .saturating_add(usize::from(filter.kind.is_some()));
    all.saturating_sub(1).saturating_add(usize::from(filter.amount.is_some()))
}

/// A step of a search for transactions. (`cross join` keeps SQLite from joining in another order.)
///
/// Where an index has its number last, the bounds are compared with the whole key and the order is
/// that of the whole key: then no planner can think of walking the journal backwards instead, which may
/// find the first row of a rare kind at the other end.
pub(in crate::journal) fn transactions_sql(
    filter: &TransactionFilter,
    account: Option<AccountList>,
    step: Step,
) -> Sql {
    let mut sql = Sql::default();
    let count = sql.bind(step.count);
    let mut kind = filter.kind.as_ref();
    let mut account = account;
    let mut metadata = filter.metadata.iter();
    let led_by = if let Some(reference) = &filter.reference {
        let reference = sql.bind(reference.as_str());
        let (after, until) = step.bounds(&mut sql);
        format!(
            "select sequence from transactions where reference is not null \
             and (reference, sequence) > ({reference}, {after}) \
             and (reference, sequence) <= ({reference}, {until}) \
             order by reference desc, sequence desc limit {count}"
        )
    } else if let Some((name, value)) = metadata.next() {
        let (name, value) = (sql.bind(name.as_str()), sql.bind(value.as_str()));
        let (after, until) = step.bounds(&mut sql);
        format!(
            "select transaction_sequence as sequence from transaction_metadata \
             where (name, value, transaction_sequence) > ({name}, {value}, {after}) \
             and (name, value, transaction_sequence) <= ({name}, {value}, {until}) \
             order by name desc, value desc, transaction_sequence desc limit {count}"
        )
    } else if let Some(AccountList { sequence, newest }) = account.take() {
        let account = sql.bind(sequence);
        let newest = sql.bind(newest);
        let last_key = sql.bind(EntryKey::last_of(step.until).0);
        let first_key = sql.bind(EntryKey::last_of(step.after).0);
        format!(
            "with recursive walk (entry_key, previous) as (\
                 select e.entry_key, e.previous from account_states s cross join entries e \
                 where s.account_sequence = {account} and e.entry_key = coalesce(\
                     (select m.entry_key from entry_marks m \
                      where m.account_sequence = s.account_sequence and m.entry_key > {last_key} \
                      order by m.entry_key limit 1), \
                     cast({newest} as bigint), s.last_entry) \
                 union all \
                 select e.entry_key, e.previous from walk w cross join entries e \
                 where e.entry_key = w.previous and w.entry_key > {last_key}), \
             list (entry_key, previous, place) as (\
                 select w.entry_key, w.previous, cast(1 as bigint) from walk w \
                 where w.entry_key <= {last_key} and w.entry_key > {first_key} \
                 union all \
                 select e.entry_key, e.previous, l.place + 1 from list l cross join entries e \
                 where e.entry_key = l.previous and l.place < {count} \
                 and e.entry_key > {first_key}) \
             select entry_key / 1024 as sequence from list"
        )
    } else if let Some(kind) = kind.take() {
        let kind = sql.bind(kind.as_str());
        let (after, until) = step.bounds(&mut sql);
        format!(
            "select sequence from transactions where (kind, sequence) > ({kind}, {after}) \
             and (kind, sequence) <= ({kind}, {until}) \
             order by kind desc, sequence desc limit {count}"
        )
    } else {
        let (after, until) = step.bounds(&mut sql);
        format!(
            "select sequence from transactions where sequence > {after} and sequence <= {until} \
             order by sequence desc limit {count}"
        )
    };
    let mut wanted: Vec<String> = Vec::new();
    if let Some(kind) = kind {
        let kind = sql.bind(kind.as_str());
        wanted.push(format!(
            "(select t.kind from transactions t where t.sequence = c.sequence) = {kind}"
        ));
    }
    for (name, value) in metadata {
        let (name, value) = (sql.bind(name.as_str()), sql.bind(value.as_str()));
        wanted.push(format!(
            "(select count(*) from transaction_metadata m where m.name = {name} \
             and m.value = {value} and m.transaction_sequence = c.sequence) = 1"
        ));
    }
    if let Some(account) = account {
        let account = sql.bind(account.sequence);
        wanted.push(format!("exists ({LEGS_OF} and e.account_sequence = {account})"));
    }
    if let Some(amount) = &filter.amount {
        let (least, most) = (sql.bind(*amount.start()), sql.bind(*amount.end()));
        wanted.push(format!("exists ({LEGS_OF} and abs(e.amount) between {least} and {most})"));
    }
    sql.text = if wanted.is_empty() {
        format!("select sequence, cast(1 as bigint) as matches from ({led_by}) candidates")
    } else {
        format!(
            "select c.sequence, case when {} then cast(1 as bigint) else 0 end as matches \
             from ({led_by}) c",
            wanted.join(" and ")
        )
    };
    sql
}

const LEGS_OF: &str = "select 1 from entries e \
     where e.entry_key >= c.sequence * 1024 and e.entry_key <= c.sequence * 1024 + 1023";

/// A step of a search for holds.
pub(in crate::journal) fn holds_sql(
    filter: HoldFilter,
    account: Option<AccountList>,
    step: Step,
) -> Sql {
    let mut sql = Sql::default();
    let count = sql.bind(step.count);
    let led_by = match account {
        Some(AccountList { sequence, newest }) => {
            let account = sql.bind(sequence);
            // Wherever a step goes on, it comes after a hold of the same list.
            let first = match step.until.checked_add(1) {
                None => {
                    let newest = sql.bind(newest);
                    format!("coalesce(cast({newest} as bigint), s.last_hold)")
                }
                Some(after) => {
                    let after = sql.bind(after);
                    format!(
                        "(select c.previous from hold_legs c where c.hold_sequence = {after} \
                          and c.account_sequence = {account} limit 1)"
                    )
                }
            };
            // `union` and not `union all`: several legs of a hold on the account are one place.
            format!(
                "with recursive list (sequence, previous, place) as (\
                     select l.hold_sequence, l.previous, cast(1 as bigint) \
                     from account_states s cross join hold_legs l \
                     where s.account_sequence = {account} and l.account_sequence = {account} \
                     and l.hold_sequence = {first} \
                     union \
                     select l.hold_sequence, l.previous, p.place + 1 from list p cross join hold_legs l \
                     where l.hold_sequence = p.previous and l.account_sequence = {account} \
                     and p.place < {count}) \
                 select sequence from list"
            )
        }
        None => {
            let (after, until) = step.bounds(&mut sql);
            format!(
                "select sequence from holds where sequence > {after} and sequence <= {until} \
                 order by sequence desc limit {count}"
            )
        }
    };
    let status = filter.status.map(|status| sql.bind(hold_status_word(status)));
    sql.text = match status {
        Some(status) => format!(
            "select c.sequence, case when \
             (select s.status from hold_states s where s.hold_sequence = c.sequence) = {status} \
             then cast(1 as bigint) else 0 end as matches from ({led_by}) c"
        ),
        None => {
            format!("select sequence, cast(1 as bigint) as matches from ({led_by}) candidates")
        }
    };
    sql
}

/// Transactions by their numbers, of which there is at least one.
pub(in crate::journal) fn numbered_transactions_sql(sequences: &[i64]) -> Sql {
    let mut sql = Sql::default();
    let list = list_of(&mut sql, sequences);
    sql.text = format!(
        "select sequence, id, kind, description, reference, metadata, effective_at, recorded_at, \
         reverses, captures, initiated_by from transactions where sequence in ({list})"
    );
    sql
}

/// The legs of transactions by their numbers. Each range is a value of its own: of a range that is
/// computed from a row PostgreSQL believes that it is a large part of the table.
pub(in crate::journal) fn numbered_legs_sql(sequences: &[i64]) -> Sql {
    let mut sql = Sql::default();
    let mut ranges = Vec::with_capacity(sequences.len());
    for &sequence in sequences {
        let first = sql.bind(EntryKey::new(sequence, 0).0);
        let last = sql.bind(EntryKey::last_of(sequence).0);
        ranges.push(format!("e.entry_key between {first} and {last}"));
    }
    sql.text = format!(
        "select e.entry_key, e.amount, \
         (select a.id from accounts a where a.sequence = e.account_sequence) as account_id, \
         (select s.currency_code from account_states s \
          where s.account_sequence = e.account_sequence) as currency_code \
         from entries e where {}",
        ranges.join(" or ")
    );
    sql
}

fn list_of(sql: &mut Sql, sequences: &[i64]) -> String {
    let list: Vec<String> = sequences.iter().map(|&sequence| sql.bind(sequence)).collect();
    list.join(", ")
}
