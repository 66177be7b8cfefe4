//! Writing what came of a group: rows travel as arrays, so a group costs the same few round trips
//! whatever its size.

use super::Error;
use crate::engine::decide::{NewChange, NewHoldChange, NewLimitChange, WorkingSet};
use crate::engine::seal::Seal;
use crate::journal::encode::{self, day_of};
use crate::journal::limits::{counter_text, limits_text};
use kernel::Timestamp;
use ledger_api::Hold;
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;

pub(super) async fn write(
    tx: &mut PgConnection,
    set: &WorkingSet,
    seal: &Seal,
) -> Result<(), Error> {
    if !set.new_accounts.is_empty() {
        write_accounts(tx, set).await?;
    }
    // These are rare, and an account may change twice in a group: one at a time, in order.
    for change in &set.new_changes {
        write_change(tx, change).await?;
    }
    for change in &set.new_limit_changes {
        write_limit_change(tx, change).await?;
    }
    if !set.new_holds.is_empty() {
        write_holds(tx, set).await?;
    }
    write_changed_holds(tx, set).await?;
    if !set.new_hold_changes.is_empty() {
        write_hold_changes(tx, &set.new_hold_changes).await?;
    }
    if !set.new_transactions.is_empty() {
        write_transactions(tx, set).await?;
        write_metadata(tx, set).await?;
    }
    if !set.new_shifts.is_empty() {
        write_shifts(tx, set).await?;
    }
    write_usages(tx, set).await?;
    if !seal.nodes.is_empty() {
        write_nodes(tx, seal).await?;
    }
    write_standings(tx, set, seal).await
}

async fn write_nodes(tx: &mut PgConnection, seal: &Seal) -> Result<(), Error> {
    let nodes = &seal.nodes;
    sqlx::query(
        "insert into tree_nodes (level, node_index, root) \
         select * from unnest($1::bigint[], $2::bigint[], $3::bytea[])",
    )
    .bind(nodes.iter().map(|(node, _)| i64::from(node.level)).collect::<Vec<_>>())
    .bind(nodes.iter().map(|(node, _)| node.index.cast_signed()).collect::<Vec<_>>())
    .bind(nodes.iter().map(|(_, root)| root.as_slice()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Where the changed accounts and the journal stand after the group.
async fn write_standings(
    tx: &mut PgConnection,
    set: &WorkingSet,
    seal: &Seal,
) -> Result<(), Error> {
    let changed = set.changed_accounts();
    let standings = || changed.iter().map(|(_, one)| one.standing);
    sqlx::query(
        "with grouped as \
             (insert into journal_groups (last_sequence, recorded_at, link) values ($1, $2, $4)), \
         stood as (update account_states s \
             set posted_debits = n.posted_debits, posted_credits = n.posted_credits, \
                 pending_debits = n.pending_debits, pending_credits = n.pending_credits, \
                 last_entry = n.last_entry, entry_count = n.entry_count, \
                 last_hold = n.last_hold \
             from unnest($5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], \
                         $10::bigint[], $11::bigint[], $12::bigint[]) \
                  as n(account_sequence, posted_debits, posted_credits, pending_debits, \
                       pending_credits, last_entry, entry_count, last_hold) \
             where s.account_sequence = n.account_sequence) \
         update journal_head set last_sequence = $1, last_recorded_at = $2, tree_size = $1, \
         tree_peaks = $3, link = $4 where id = 1",
    )
    .bind(set.head.last_sequence)
    .bind(set.head.last_recorded_at.as_micros())
    .bind(&seal.peaks)
    .bind(seal.link.as_slice())
    .bind(changed.iter().map(|(_, one)| one.sequence).collect::<Vec<_>>())
    .bind(standings().map(|one| one.balances.posted_debits).collect::<Vec<_>>())
    .bind(standings().map(|one| one.balances.posted_credits).collect::<Vec<_>>())
    .bind(standings().map(|one| one.balances.pending_debits).collect::<Vec<_>>())
    .bind(standings().map(|one| one.balances.pending_credits).collect::<Vec<_>>())
    .bind(standings().map(|one| one.last_entry).collect::<Vec<_>>())
    .bind(standings().map(|one| one.entry_count).collect::<Vec<_>>())
    .bind(standings().map(|one| one.last_hold).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_accounts(tx: &mut PgConnection, set: &WorkingSet) -> Result<(), Error> {
    let new = &set.new_accounts;
    let sequences: Vec<i64> = new.iter().map(|(sequence, _)| *sequence).collect();
    sqlx::query(
        "insert into accounts (sequence, id, name, opened_at) \
         select * from unnest($1::bigint[], $2::uuid[], $3::text[], $4::bigint[])",
    )
    .bind(&sequences)
    .bind(new.iter().map(|(_, one)| one.id.0).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, one)| one.name.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, one)| one.opened_at.as_micros()).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "insert into account_states \
         (account_sequence, currency_code, normal_side, status, lowest_available) \
         select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::bigint[])",
    )
    .bind(&sequences)
    .bind(new.iter().map(|(_, one)| one.currency.code()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, one)| encode::side_number(one.normal_side)).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, one)| encode::status_word(one.status)).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, one)| one.constraint.lowest_available()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_change(tx: &mut PgConnection, new: &NewChange) -> Result<(), Error> {
    sqlx::query(
        "with changed as (insert into account_changes \
             (sequence, account_sequence, status, reason, changed_at) \
             values ($1, $2, $3, $4, $5)) \
         update account_states set status = $3 where account_sequence = $2",
    )
    .bind(new.sequence)
    .bind(new.account_sequence)
    .bind(encode::status_word(new.status))
    .bind(&new.reason)
    .bind(new.changed_at.as_micros())
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_limit_change(tx: &mut PgConnection, new: &NewLimitChange) -> Result<(), Error> {
    sqlx::query(
        "with changed as (insert into limit_changes \
             (sequence, account_sequence, limits, changed_at) values ($1, $2, $3, $4)) \
         update account_states set limits = $3 where account_sequence = $2",
    )
    .bind(new.sequence)
    .bind(new.account_sequence)
    .bind(limits_text(&new.limits))
    .bind(new.changed_at.as_micros())
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_holds(tx: &mut PgConnection, set: &WorkingSet) -> Result<(), Error> {
    let new: Vec<&Hold> = set.holds_to_add().collect();
    let legs = &set.new_hold_legs;
    sqlx::query(
        "with made as (insert into holds (sequence, id, kind, description, reference, metadata, \
             tolerance, expires_at, created_at, initiated_by) \
             select * from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::text[], \
                                  $6::text[], $7::bigint[], $8::bigint[], $9::bigint[], \
                                  $17::uuid[])), \
         standing as (insert into hold_states \
             (hold_sequence, expires_at, status, captured, ended_by) \
             select * from unnest($1::bigint[], $8::bigint[], $10::text[], $11::bigint[], \
                                  $12::bigint[])) \
         insert into hold_legs (hold_sequence, leg_no, account_sequence, amount, previous) \
         select * from unnest($13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], \
                              $18::bigint[])",
    )
    .bind(new.iter().map(|one| one.sequence).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.id.0).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.description.as_deref()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.reference.as_deref()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| encode::metadata_text(&one.metadata)).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.tolerance).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.expires_at.map(Timestamp::as_micros)).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.created_at.as_micros()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| encode::hold_status_word(one.status)).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.captured).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.ended_by).collect::<Vec<_>>())
    .bind(legs.iter().map(|leg| leg.hold_sequence).collect::<Vec<_>>())
    .bind(legs.iter().map(|leg| leg.leg_no).collect::<Vec<_>>())
    .bind(legs.iter().map(|leg| leg.account_sequence).collect::<Vec<_>>())
    .bind(legs.iter().map(|leg| leg.amount).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.initiated_by.map(|user| user.0)).collect::<Vec<_>>())
    .bind(legs.iter().map(|leg| leg.previous).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_changed_holds(tx: &mut PgConnection, set: &WorkingSet) -> Result<(), Error> {
    let changed: Vec<&Hold> = set.changed_holds().collect();
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update hold_states s \
         set status = n.status, captured = n.captured, ended_by = n.ended_by \
         from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) \
              as n(hold_sequence, status, captured, ended_by) \
         where s.hold_sequence = n.hold_sequence",
    )
    .bind(changed.iter().map(|one| one.sequence).collect::<Vec<_>>())
    .bind(changed.iter().map(|one| encode::hold_status_word(one.status)).collect::<Vec<_>>())
    .bind(changed.iter().map(|one| one.captured).collect::<Vec<_>>())
    .bind(changed.iter().map(|one| one.ended_by).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_hold_changes(tx: &mut PgConnection, new: &[NewHoldChange]) -> Result<(), Error> {
    sqlx::query(
        "insert into hold_changes (sequence, hold_sequence, status, reason, changed_at, initiated_by) \
         select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], \
                              $6::uuid[])",
    )
    .bind(new.iter().map(|one| one.sequence).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.hold_sequence).collect::<Vec<_>>())
    .bind(new.iter().map(|one| encode::hold_status_word(one.status)).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.reason.as_deref()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.changed_at.as_micros()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.initiated_by.map(|user| user.0)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Transactions with their entries.
async fn write_transactions(tx: &mut PgConnection, set: &WorkingSet) -> Result<(), Error> {
    let (new, entries) = (&set.new_transactions, &set.new_entries);
    let marks = || entries.iter().filter(|one| one.is_mark);
    sqlx::query(
        "with posted as (insert into transactions \
             (sequence, id, kind, description, reference, metadata, effective_at, recorded_at, \
              reverses, captures, initiated_by) \
             select * from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::text[], \
                                  $6::text[], $7::bigint[], $8::bigint[], $9::uuid[], \
                                  $10::uuid[], $18::uuid[])), \
         marked as (insert into entry_marks (account_sequence, entry_key) \
             select * from unnest($11::bigint[], $12::bigint[])) \
         insert into entries (entry_key, account_sequence, amount, balance_after, previous) \
         select * from unnest($13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], \
                              $17::bigint[])",
    )
    .bind(new.iter().map(|one| one.sequence).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.id.0).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.description.as_deref()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.reference.as_deref()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| encode::metadata_text(&one.metadata)).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.effective_at.as_micros()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.recorded_at.as_micros()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.reverses.map(|original| original.0)).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.captures.map(|hold| hold.0)).collect::<Vec<_>>())
    .bind(marks().map(|one| one.account_sequence).collect::<Vec<_>>())
    .bind(marks().map(|one| one.entry_key).collect::<Vec<_>>())
    .bind(entries.iter().map(|one| one.entry_key).collect::<Vec<_>>())
    .bind(entries.iter().map(|one| one.account_sequence).collect::<Vec<_>>())
    .bind(entries.iter().map(|one| one.amount).collect::<Vec<_>>())
    .bind(entries.iter().map(|one| one.balance_after).collect::<Vec<_>>())
    .bind(entries.iter().map(|one| one.previous).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.initiated_by.map(|user| user.0)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_metadata(tx: &mut PgConnection, set: &WorkingSet) -> Result<(), Error> {
    let (mut names, mut values, mut sequences) = (Vec::new(), Vec::new(), Vec::new());
    for transaction in &set.new_transactions {
        for (name, value) in encode::searchable(&transaction.metadata) {
            names.push(name);
            values.push(value);
            sequences.push(transaction.sequence);
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into transaction_metadata (name, value, transaction_sequence) \
         select * from unnest($1::text[], $2::text[], $3::bigint[])",
    )
    .bind(names)
    .bind(values)
    .bind(sequences)
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_shifts(tx: &mut PgConnection, set: &WorkingSet) -> Result<(), Error> {
    let new = &set.new_shifts;
    sqlx::query(
        "insert into shifted_entries \
         (account_sequence, entry_key, effective_at, amount, shifted_after) \
         select n.account, n.entry_key, n.effective_at, n.amount, \
                coalesce(last.shifted_after, 0) \
                + cast(sum(n.amount) over (partition by n.account order by n.entry_key) as bigint) \
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) \
              as n(account, entry_key, effective_at, amount) \
         left join lateral (select shifted_after from shifted_entries s \
                            where s.account_sequence = n.account \
                            order by s.entry_key desc limit 1) last on true",
    )
    .bind(new.iter().map(|one| one.account_sequence).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.entry_key).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.effective_at.as_micros()).collect::<Vec<_>>())
    .bind(new.iter().map(|one| one.amount).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    let mut days: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for one in new {
        let day = days.entry((one.account_sequence, day_of(one.effective_at))).or_default();
        *day = day.saturating_add(one.amount);
    }
    sqlx::query(
        "insert into shifted_days as d (account_sequence, day, amount) \
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[]) \
         on conflict (account_sequence, day) do update set amount = d.amount + excluded.amount",
    )
    .bind(days.keys().map(|(account, _)| *account).collect::<Vec<_>>())
    .bind(days.keys().map(|(_, day)| *day).collect::<Vec<_>>())
    .bind(days.values().copied().collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_usages(tx: &mut PgConnection, set: &WorkingSet) -> Result<(), Error> {
    let changed: Vec<_> = set.changed_usages().collect();
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into limit_usages \
         (account_sequence, counter, period_start, minor_units, uses, counts_from) \
         select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], \
                              $6::bigint[]) \
         on conflict (account_sequence, counter) do update set \
         period_start = excluded.period_start, minor_units = excluded.minor_units, \
         uses = excluded.uses, counts_from = excluded.counts_from",
    )
    .bind(changed.iter().map(|(account, _)| *account).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, used)| counter_text(used)).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, used)| used.period_start.as_micros()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, used)| used.minor_units).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, used)| used.uses).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, used)| used.counts_from).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
