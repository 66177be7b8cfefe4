use super::entity::AuditEntry;
use super::{AuditFilter, Head};
use kernel::{PageLimit, Timestamp, UserId};
use store::sea_orm::{self, ConnectionTrait, FromQueryResult, Value};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

#[derive(FromQueryResult)]
struct HeadRow {
    last_sequence: i64,
    last_occurred_at: i64,
    last_hash: Vec<u8>,
}

impl From<HeadRow> for Head {
    fn from(row: HeadRow) -> Self {
        Self {
            sequence: row.last_sequence,
            occurred_at: Timestamp::from_micros(row.last_occurred_at),
            hash: row.last_hash,
        }
    }
}

#[derive(FromQueryResult)]
struct Row {
    sequence: i64,
    occurred_at: i64,
    actor_id: Option<Uuid>,
    action: String,
    object_id: Option<Uuid>,
    client_address: String,
    user_agent: String,
    details: String,
    hash: Vec<u8>,
}

impl Row {
    fn split(self) -> (AuditEntry, Vec<u8>) {
        let entry = AuditEntry {
            sequence: self.sequence,
            occurred_at: Timestamp::from_micros(self.occurred_at),
            actor: self.actor_id.map(UserId),
            action: self.action,
            object: self.object_id,
            client_address: self.client_address,
            user_agent: self.user_agent,
            details: self.details,
        };
        (entry, self.hash)
    }
}

/// The end of the chain, which nobody else moves until the transaction ends.
pub(super) async fn lock_head_in_tx(store: &Store, tx: &WriteTx) -> Result<Head, StoreError> {
    let head = HeadRow::find_by_statement(store.statement(
        "update audit_head set last_sequence = last_sequence where id = 1 \
         returning last_sequence, last_occurred_at, last_hash",
        [],
    ));
    let head = head.one(tx).await?;
    Ok(head.ok_or_else(|| StoreError::inconsistent("audit_head", "id", 1))?.into())
}

pub(super) async fn append_in_tx(
    store: &Store,
    tx: &WriteTx,
    entry: AuditEntry,
    hash: Vec<u8>,
) -> Result<(), StoreError> {
    let (sequence, occurred_at) = (entry.sequence, entry.occurred_at.as_micros());
    tx.execute_raw(store.statement(
        "insert into audit_events (sequence, occurred_at, actor_id, action, object_id, \
         client_address, user_agent, details, hash) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [
            sequence.into(),
            occurred_at.into(),
            entry.actor.map(|actor| actor.0).into(),
            entry.action.into(),
            entry.object.into(),
            entry.client_address.into(),
            entry.user_agent.into(),
            entry.details.into(),
            hash.clone().into(),
        ],
    ))
    .await?;
    tx.execute_raw(store.statement(
        "update audit_head set last_sequence = $1, last_occurred_at = $2, last_hash = $3 \
         where id = 1",
        [sequence.into(), occurred_at.into(), hash.into()],
    ))
    .await?;
    Ok(())
}

pub(super) async fn head(
    store: &Store,
    connection: &impl ConnectionTrait,
) -> Result<Option<Head>, StoreError> {
    let head = HeadRow::find_by_statement(store.statement(
        "select last_sequence, last_occurred_at, last_hash from audit_head where id = 1",
        [],
    ));
    Ok(head.one(connection).await?.map(Head::from))
}

/// The next entries in order, with their hashes.
pub(super) async fn after(
    store: &Store,
    connection: &impl ConnectionTrait,
    sequence: i64,
    limit: i64,
) -> Result<Vec<(AuditEntry, Vec<u8>)>, StoreError> {
    let rows = Row::find_by_statement(store.statement(
        "select sequence, occurred_at, actor_id, action, object_id, client_address, user_agent, \
         details, hash from audit_events where sequence > $1 order by sequence limit $2",
        [sequence.into(), limit.into()],
    ));
    Ok(rows.all(connection).await?.into_iter().map(Row::split).collect())
}

/// The statement that finds a page: every condition is one that an index leads to.
pub(super) fn search_statement(
    filter: &AuditFilter,
    before: Option<i64>,
    limit: PageLimit,
) -> (String, Vec<Value>) {
    let mut binds: Vec<Value> = vec![before.unwrap_or(i64::MAX).into()];
    let mut conditions = String::from("sequence < $1");
    let mut add = |begin: &str, value: Value, end: &str| {
        binds.push(value);
        conditions.push_str(&format!(" and {begin} ${}{end}", binds.len()));
    };
    if let Some(actor) = filter.actor {
        add("actor_id =", actor.0.into(), "");
    }
    if let Some(action) = &filter.action {
        add("action =", action.as_str().into(), "");
    }
    if let Some(object) = filter.object {
        add("object_id =", object.into(), "");
    }
    // Times never go back along the numbers, so an instant is a number.
    let first = "(select sequence from audit_events where occurred_at >=";
    let end = " order by occurred_at, sequence limit 1)";
    if let Some(from) = filter.from {
        add(&format!("sequence >= {first}"), from.as_micros().into(), end);
    }
    if let Some(to) = filter.to {
        let begin = format!("sequence < coalesce({first}");
        add(&begin, to.as_micros().into(), &format!("{end}, {})", i64::MAX));
    }
    binds.push(limit.rows_to_fetch().into());
    let sql = format!(
        "select sequence, occurred_at, actor_id, action, object_id, client_address, user_agent, \
         details, hash from audit_events where {conditions} order by sequence desc limit ${}",
        binds.len()
    );
    (sql, binds)
}

pub(super) async fn search(
    store: &Store,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: PageLimit,
) -> Result<Vec<AuditEntry>, StoreError> {
    let (sql, binds) = search_statement(filter, before, limit);
    let rows = Row::find_by_statement(store.statement(&sql, binds)).all(store.read()).await?;
    Ok(rows.into_iter().map(|row| row.split().0).collect())
}
