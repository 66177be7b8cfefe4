//! Reading what a group is about, a table at a time.

use super::Error;
use crate::engine::cache::{Cache, Greatest};
use crate::engine::decide::{AccountState, HoldState, LimitedAccount, Standing, Usage, WorkingSet};
use crate::engine::group::Group;
use crate::engine::needs::Needs;
use crate::journal::encode::{
    self, ACCOUNT_COLUMNS, ACCOUNT_TABLES, AccountRow, HOLD_COLUMNS, HoldRow,
};
use crate::journal::limits::{limits_from, usage_from};
use kernel::{Timestamp, UserId};
use ledger_api::{AccountId, Balances, HoldId, Leg, Transaction, TransactionId};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

pub(super) async fn load(
    tx: &mut PgConnection,
    group: &Group,
    cache: &mut Cache,
    set: &mut WorkingSet,
) -> Result<(), Error> {
    let mut needs = Needs::of(&group.commands);
    let greatest = match cache.greatest() {
        Some(greatest) => greatest,
        None => load_greatest(tx).await?,
    };
    cache.set_greatest(greatest);
    needs.leave_out_new(greatest);
    if !needs.transactions.is_empty() {
        load_transactions(tx, &needs, set).await?;
    }
    if !needs.originals.is_empty() {
        load_reversed(tx, &needs, set).await?;
    }
    let unknown = cache.fill_holds(set, &needs.holds);
    if !unknown.is_empty() {
        load_holds(tx, &unknown, set).await?;
    }
    needs.add_touched(
        needs
            .originals
            .clone()
            .iter()
            .filter_map(|id| set.existing_transactions.get(id))
            .map(Arc::as_ref),
        set.holds.values().map(|state| &state.hold),
    );
    let unknown = cache.fill_accounts(set, &needs.accounts);
    if !unknown.is_empty() {
        load_states(tx, unknown, set).await?;
    }
    if !needs.subjects.is_empty() {
        load_existing_accounts(tx, &needs, set).await?;
    }
    Ok(())
}

async fn load_greatest(tx: &mut PgConnection) -> Result<Greatest, Error> {
    // There is no max() of these before PostgreSQL 18.
    let sql = "select (select id from transactions order by id desc limit 1), \
               (select id from holds order by id desc limit 1)";
    let row = sqlx::query(sql).fetch_one(tx).await?;
    let [transaction, hold] = [row.try_get::<Option<Uuid>, _>(0)?, row.try_get(1)?];
    Ok(Greatest {
        transaction: TransactionId(transaction.unwrap_or_default()),
        hold: HoldId(hold.unwrap_or_default()),
    })
}

/// How much was taken back of each original, in minor units of the first leg.
pub(in crate::engine) const REVERSED_SQL: &str = "select t.reverses, cast(sum(abs(e.amount)) as bigint) \
     from transactions t join entries e on e.entry_key = t.sequence * 1024 \
     where t.reverses = any($1) group by t.reverses";

async fn load_reversed(
    tx: &mut PgConnection,
    needs: &Needs,
    set: &mut WorkingSet,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = needs.originals.iter().map(|id| id.0).collect();
    for row in sqlx::query(REVERSED_SQL).bind(ids).fetch_all(tx).await? {
        set.reversed.insert(TransactionId(row.try_get(0)?), row.try_get(1)?);
    }
    Ok(())
}

async fn load_states(
    tx: &mut PgConnection,
    unknown: Vec<AccountId>,
    set: &mut WorkingSet,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = unknown.into_iter().map(|id| id.0).collect();
    let sql = "select a.id, a.sequence, s.currency_code, s.normal_side, s.status, \
               s.lowest_available, s.posted_debits, s.posted_credits, s.pending_debits, \
               s.pending_credits, s.last_entry, s.last_hold, s.entry_count, s.limits \
               from accounts a join account_states s on s.account_sequence = a.sequence \
               where a.id = any($1)";
    let mut limited = HashMap::new();
    for row in sqlx::query(sql).bind(ids).fetch_all(&mut *tx).await? {
        let (id, sequence): (Uuid, i64) = (row.try_get(0)?, row.try_get(1)?);
        if let Some(text) = row.try_get::<Option<&str>, _>(13)? {
            let limits = limits_from(text, sequence)?;
            limited
                .insert(sequence, (AccountId(id), LimitedAccount { limits, usages: Vec::new() }));
        }
        let state = AccountState {
            sequence,
            currency: encode::currency_from(row.try_get(2)?, id)?,
            normal_side: encode::side_from(row.try_get(3)?, id)?,
            status: encode::status_from(row.try_get(4)?, id)?,
            lowest_available: row.try_get(5)?,
            standing: Standing {
                balances: Balances {
                    posted_debits: row.try_get(6)?,
                    posted_credits: row.try_get(7)?,
                    pending_debits: row.try_get(8)?,
                    pending_credits: row.try_get(9)?,
                },
                last_entry: row.try_get(10)?,
                last_hold: row.try_get(11)?,
                entry_count: row.try_get(12)?,
                changed: false,
            },
            limited: None,
        };
        set.accounts.insert(AccountId(id), state);
    }
    if !limited.is_empty() {
        load_usages(tx, &mut limited).await?;
    }
    for (id, limits) in limited.into_values() {
        if let Some(state) = set.accounts.get_mut(&id) {
            state.limited = Some(Box::new(limits));
        }
    }
    Ok(())
}

async fn load_usages(
    tx: &mut PgConnection,
    limited: &mut HashMap<i64, (AccountId, LimitedAccount)>,
) -> Result<(), Error> {
    let accounts: Vec<i64> = limited.keys().copied().collect();
    let sql = "select account_sequence, counter, period_start, minor_units, uses, \
               counts_from from limit_usages where account_sequence = any($1)";
    for row in sqlx::query(sql).bind(accounts).fetch_all(tx).await? {
        let account: i64 = row.try_get(0)?;
        let used = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
        let usage: Usage = usage_from(row.try_get(1)?, used, account)?;
        if let Some((_, limits)) = limited.get_mut(&account) {
            limits.usages.push(usage);
        }
    }
    Ok(())
}

async fn load_existing_accounts(
    tx: &mut PgConnection,
    needs: &Needs,
    set: &mut WorkingSet,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = needs.subjects.iter().map(|id| id.0).collect();
    let sql = format!("select {ACCOUNT_COLUMNS} {ACCOUNT_TABLES} where a.id = any($1)");
    for row in sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(tx).await? {
        let row = account_row(&row)?;
        set.existing_accounts.insert(AccountId(row.id), row.into_account()?);
    }
    Ok(())
}

fn account_row(row: &PgRow) -> Result<AccountRow, sqlx::Error> {
    Ok(AccountRow {
        sequence: row.try_get(0)?,
        id: row.try_get(1)?,
        name: row.try_get(2)?,
        opened_at: row.try_get(3)?,
        currency_code: row.try_get(4)?,
        normal_side: row.try_get(5)?,
        status: row.try_get(6)?,
        lowest_available: row.try_get(7)?,
        posted_debits: row.try_get(8)?,
        posted_credits: row.try_get(9)?,
        pending_debits: row.try_get(10)?,
        pending_credits: row.try_get(11)?,
    })
}

/// The legs of several transactions, each of which has at most 1,024. Without saying so the planner may walk
/// through all entries there are and look each up among the numbers: as long as it has no statistics it takes a
/// range for a good part of the table.
pub(in crate::engine) const POSTED_LEGS_SQL: &str = "select n.sequence, a.id, e.amount, s.currency_code \
     from unnest($1::bigint[]) as n(sequence) cross join lateral \
         (select entry_key, account_sequence, amount from entries \
          where entry_key between n.sequence * 1024 and n.sequence * 1024 + 1023 limit 1024) e \
     join accounts a on a.sequence = e.account_sequence \
     join account_states s on s.account_sequence = a.sequence order by e.entry_key";

async fn load_transactions(
    tx: &mut PgConnection,
    needs: &Needs,
    set: &mut WorkingSet,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = needs.transactions.iter().map(|id| id.0).collect();
    let sql = "select sequence, id, kind, description, reference, metadata, effective_at, \
               recorded_at, reverses, captures, initiated_by from transactions \
               where id = any($1)";
    let rows = sqlx::query(sql).bind(ids).fetch_all(&mut *tx).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let sequences = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
    let mut legs = load_legs(tx, POSTED_LEGS_SQL, sequences).await?;
    for row in rows {
        let (sequence, id): (i64, Uuid) = (row.try_get(0)?, row.try_get(1)?);
        let transaction = Transaction {
            id: TransactionId(id),
            sequence,
            kind: row.try_get(2)?,
            description: row.try_get(3)?,
            reference: row.try_get(4)?,
            metadata: encode::metadata_from(row.try_get(5)?, id)?,
            effective_at: Timestamp::from_micros(row.try_get(6)?),
            recorded_at: Timestamp::from_micros(row.try_get(7)?),
            legs: legs.remove(&sequence).unwrap_or_default(),
            reverses: row.try_get::<Option<Uuid>, _>(8)?.map(TransactionId),
            captures: row.try_get::<Option<Uuid>, _>(9)?.map(HoldId),
            initiated_by: row.try_get::<Option<Uuid>, _>(10)?.map(UserId),
        };
        set.existing_transactions.insert(transaction.id, Arc::new(transaction));
    }
    Ok(())
}

async fn load_holds(
    tx: &mut PgConnection,
    unknown: &[HoldId],
    set: &mut WorkingSet,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = unknown.iter().map(|id| id.0).collect();
    let sql = format!("select {HOLD_COLUMNS} where h.id = any($1)");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(&mut *tx).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let sequences = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
    let legs = "select l.hold_sequence, a.id, l.amount, s.currency_code from hold_legs l \
                join accounts a on a.sequence = l.account_sequence \
                join account_states s on s.account_sequence = a.sequence \
                where l.hold_sequence = any($1) order by l.hold_sequence, l.leg_no";
    let mut legs = load_legs(tx, legs, sequences).await?;
    for row in rows {
        let row = HoldRow {
            sequence: row.try_get(0)?,
            id: row.try_get(1)?,
            kind: row.try_get(2)?,
            description: row.try_get(3)?,
            reference: row.try_get(4)?,
            metadata: row.try_get(5)?,
            tolerance: row.try_get(6)?,
            expires_at: row.try_get(7)?,
            created_at: row.try_get(8)?,
            status: row.try_get(9)?,
            captured: row.try_get(10)?,
            ended_by: row.try_get(11)?,
            initiated_by: row.try_get(12)?,
            released_by: row.try_get(13)?,
        };
        let legs = legs.remove(&row.sequence).unwrap_or_default();
        let hold = row.into_hold(legs)?;
        set.holds.insert(hold.id, HoldState { hold, is_new: false, changed: false });
    }
    Ok(())
}

/// The legs of several transactions or holds, by their numbers.
async fn load_legs(
    tx: &mut PgConnection,
    sql: &'static str,
    sequences: Vec<i64>,
) -> Result<HashMap<i64, Vec<Leg>>, Error> {
    let mut legs: HashMap<i64, Vec<Leg>> = HashMap::new();
    for row in sqlx::query(sql).bind(sequences).fetch_all(tx).await? {
        let leg = encode::leg_from(row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)?;
        legs.entry(row.try_get(0)?).or_default().push(leg);
    }
    Ok(legs)
}
