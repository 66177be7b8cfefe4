use super::entity::ApiClient;
use kernel::{PageLimit, Timestamp, UserId};
use std::collections::BTreeSet;
use store::sea_orm::{self, ConnectionTrait, FromQueryResult};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    name: String,
    scope: String,
    allowed_networks: String,
    created_at: i64,
    created_by: Uuid,
    expires_at: Option<i64>,
    rotated_at: Option<i64>,
    last_token_at: Option<i64>,
    revoked_at: Option<i64>,
    revoked_reason: Option<String>,
}

impl From<Row> for ApiClient {
    fn from(row: Row) -> Self {
        let instant = |at: Option<i64>| at.map(Timestamp::from_micros);
        Self {
            id: UserId(row.id),
            name: row.name,
            scopes: split(&row.scope),
            allowed_networks: split(&row.allowed_networks),
            created_at: Timestamp::from_micros(row.created_at),
            created_by: UserId(row.created_by),
            expires_at: instant(row.expires_at),
            rotated_at: instant(row.rotated_at),
            last_token_at: instant(row.last_token_at),
            revoked_at: instant(row.revoked_at),
            revoked_reason: row.revoked_reason,
        }
    }
}

fn split(text: &str) -> BTreeSet<String> {
    text.split(' ').filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

fn join(texts: &BTreeSet<String>) -> String {
    texts.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

pub(super) async fn insert_in_tx(
    store: &Store,
    tx: &WriteTx,
    client: &ApiClient,
) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "insert into api_clients (id, name, scope, allowed_networks, created_at, created_by, \
         expires_at) values ($1, $2, $3, $4, $5, $6, $7)",
        [
            client.id.0.into(),
            client.name.as_str().into(),
            join(&client.scopes).into(),
            join(&client.allowed_networks).into(),
            client.created_at.as_micros().into(),
            client.created_by.0.into(),
            client.expires_at.map(Timestamp::as_micros).into(),
        ],
    ))
    .await?;
    Ok(())
}

pub(super) async fn find(store: &Store, id: UserId) -> Result<Option<ApiClient>, StoreError> {
    let found = Row::find_by_statement(store.statement(
        "select id, name, scope, allowed_networks, created_at, created_by, expires_at, \
         rotated_at, last_token_at, revoked_at, revoked_reason from api_clients where id = $1",
        [id.0.into()],
    ));
    Ok(found.one(store.read()).await?.map(ApiClient::from))
}

/// Clients, newest first: ids sort by the time of their making.
pub(super) async fn list(
    store: &Store,
    after: Option<Uuid>,
    limit: PageLimit,
) -> Result<Vec<ApiClient>, StoreError> {
    let rows = Row::find_by_statement(store.statement(
        "select id, name, scope, allowed_networks, created_at, created_by, expires_at, \
         rotated_at, last_token_at, revoked_at, revoked_reason from api_clients \
         where id < $1 order by id desc limit $2",
        [after.unwrap_or(Uuid::max()).into(), limit.rows_to_fetch().into()],
    ));
    Ok(rows.all(store.read()).await?.into_iter().map(ApiClient::from).collect())
}

pub(super) async fn insert_secret_in_tx(
    store: &Store,
    tx: &WriteTx,
    client: UserId,
    secret_hash: Vec<u8>,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "insert into api_client_secrets (secret_hash, client_id, created_at, expires_at) \
         values ($1, $2, $3, null)",
        [secret_hash.into(), client.0.into(), now.as_micros().into()],
    ))
    .await?;
    Ok(())
}

/// Whether this is the digest of a secret of the client whose time is not over.
pub(super) async fn is_secret(
    store: &Store,
    connection: &impl ConnectionTrait,
    client: UserId,
    secret_hash: Vec<u8>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let found = connection.query_one_raw(store.statement(
        "select 1 from api_client_secrets where secret_hash = $1 and client_id = $2 \
         and (expires_at is null or expires_at > $3)",
        [secret_hash.into(), client.0.into(), now.as_micros().into()],
    ));
    Ok(found.await?.is_some())
}

/// Gives the present secrets of a client an end, and forgets those whose end is over. `false` if the
/// client was revoked. Its row stays locked, so that of two rotations at once one comes second.
pub(super) async fn end_secrets_in_tx(
    store: &Store,
    tx: &WriteTx,
    client: UserId,
    until: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let locked = tx
        .execute_raw(store.statement(
            "update api_clients set rotated_at = $1 where id = $2 and revoked_at is null",
            [now.as_micros().into(), client.0.into()],
        ))
        .await?;
    if locked.rows_affected() == 0 {
        return Ok(false);
    }
    tx.execute_raw(store.statement(
        "update api_client_secrets set expires_at = $1 \
         where client_id = $2 and (expires_at is null or expires_at > $1)",
        [until.as_micros().into(), client.0.into()],
    ))
    .await?;
    tx.execute_raw(store.statement(
        "delete from api_client_secrets where client_id = $1 and expires_at <= $2",
        [client.0.into(), now.as_micros().into()],
    ))
    .await?;
    Ok(true)
}

/// Replaces the networks of a client, and tells those before; `None` if it was revoked.
pub(super) async fn set_networks_in_tx(
    store: &Store,
    tx: &WriteTx,
    client: UserId,
    networks: &BTreeSet<String>,
) -> Result<Option<BTreeSet<String>>, StoreError> {
    #[derive(FromQueryResult)]
    struct Before {
        allowed_networks: String,
    }
    let before = Before::find_by_statement(store.statement(
        "update api_clients set allowed_networks = allowed_networks \
         where id = $1 and revoked_at is null returning allowed_networks",
        [client.0.into()],
    ));
    let Some(before) = before.one(tx).await? else {
        return Ok(None);
    };
    tx.execute_raw(store.statement(
        "update api_clients set allowed_networks = $1 where id = $2",
        [join(networks).into(), client.0.into()],
    ))
    .await?;
    Ok(Some(split(&before.allowed_networks)))
}

/// Revokes a client; `false` if it was revoked before.
pub(super) async fn revoke_in_tx(
    store: &Store,
    tx: &WriteTx,
    client: UserId,
    by: UserId,
    reason: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let revoked = tx
        .execute_raw(store.statement(
            "update api_clients set revoked_at = $1, revoked_by = $2, revoked_reason = $3 \
             where id = $4 and revoked_at is null",
            [now.as_micros().into(), by.0.into(), reason.into(), client.0.into()],
        ))
        .await?;
    Ok(revoked.rows_affected() == 1)
}

/// Records that a client got a token; `false` if it was revoked meanwhile.
pub(super) async fn note_token_in_tx(
    store: &Store,
    tx: &WriteTx,
    client: UserId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let noted = tx
        .execute_raw(store.statement(
            "update api_clients set last_token_at = $1 where id = $2 and revoked_at is null",
            [now.as_micros().into(), client.0.into()],
        ))
        .await?;
    Ok(noted.rows_affected() == 1)
}
