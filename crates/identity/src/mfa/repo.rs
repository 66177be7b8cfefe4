use super::Proof;
use crate::passkeys;
use kernel::{Timestamp, UserId};
use store::sea_orm::{self, ConnectionTrait, FromQueryResult};
use store::{Store, StoreError, WriteTx};

/// A row of `user_totp`.
#[derive(FromQueryResult)]
pub(super) struct Factor {
    pub(super) sealed_secret: Vec<u8>,
    pub(super) confirmed_at: Option<i64>,
    pub(super) last_used_step: i64,
}

pub(super) async fn find(store: &Store, user_id: UserId) -> Result<Option<Factor>, StoreError> {
    let found = Factor::find_by_statement(store.statement(
        "select sealed_secret, confirmed_at, last_used_step from user_totp where user_id = $1",
        [user_id.0.into()],
    ));
    Ok(found.one(store.read()).await?)
}

/// Makes this the factor that waits for its confirmation; `false` if one is confirmed.
pub(super) async fn replace_unconfirmed_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    sealed_secret: Vec<u8>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let replaced = tx
        .execute_raw(store.statement(
            "insert into user_totp (user_id, sealed_secret, created_at, confirmed_at, \
             last_used_step) values ($1, $2, $3, null, 0) \
             on conflict (user_id) do update set sealed_secret = $2, created_at = $3 \
             where user_totp.confirmed_at is null",
            [user_id.0.into(), sealed_secret.into(), now.as_micros().into()],
        ))
        .await?;
    Ok(replaced.rows_affected() == 1)
}

/// Confirms the factor with this secret; `false` if it is not there any more, or confirmed.
pub(super) async fn confirm_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    factor: &Factor,
    step: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let confirmed = tx
        .execute_raw(store.statement(
            "update user_totp set confirmed_at = $1, last_used_step = $2 \
             where user_id = $3 and confirmed_at is null and sealed_secret = $4",
            [
                now.as_micros().into(),
                step.into(),
                user_id.0.into(),
                factor.sealed_secret.clone().into(),
            ],
        ))
        .await?;
    Ok(confirmed.rows_affected() == 1)
}

/// Makes these hashes the user's recovery codes, by their positions.
pub(super) async fn replace_codes_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    hashes: &[String],
) -> Result<(), StoreError> {
    let old = "delete from recovery_codes where user_id = $1";
    tx.execute_raw(store.statement(old, [user_id.0.into()])).await?;
    for (position, hash) in (0_i64..).zip(hashes) {
        tx.execute_raw(store.statement(
            "insert into recovery_codes (user_id, position, code_hash) values ($1, $2, $3)",
            [user_id.0.into(), position.into(), hash.as_str().into()],
        ))
        .await?;
    }
    Ok(())
}

#[derive(FromQueryResult)]
struct CodeRow {
    code_hash: String,
}

/// The hash of the recovery code at a position, if it is unused.
pub(super) async fn code_hash(
    store: &Store,
    user_id: UserId,
    position: i64,
) -> Result<Option<String>, StoreError> {
    let found = CodeRow::find_by_statement(store.statement(
        "select code_hash from recovery_codes where user_id = $1 and position = $2",
        [user_id.0.into(), position.into()],
    ));
    Ok(found.one(store.read()).await?.map(|row| row.code_hash))
}

/// How many recovery codes are left.
pub(super) async fn codes_left(store: &Store, user_id: UserId) -> Result<usize, StoreError> {
    let left =
        CodeRow::find_by_statement(store.statement(
            "select code_hash from recovery_codes where user_id = $1",
            [user_id.0.into()],
        ));
    Ok(left.all(store.read()).await?.len())
}

/// Uses a proof up; `false` if somebody else was faster.
pub(super) async fn spend_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    proof: &Proof,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let statement = match proof {
        Proof::Totp { step } => store.statement(
            "update user_totp set last_used_step = $1 where user_id = $2 and last_used_step < $1",
            [(*step).into(), user_id.0.into()],
        ),
        Proof::RecoveryCode { position, code_hash } => store.statement(
            "delete from recovery_codes where user_id = $1 and position = $2 and code_hash = $3",
            [user_id.0.into(), (*position).into(), code_hash.as_str().into()],
        ),
        Proof::Passkey(shown) => return passkeys::use_in_tx(store, tx, shown, now).await,
    };
    Ok(tx.execute_raw(statement).await?.rows_affected() == 1)
}

/// Whether the user has an app that counts, or a passkey.
pub(super) async fn has_factor_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
) -> Result<bool, StoreError> {
    let app = "select 1 from user_totp where user_id = $1 and confirmed_at is not null";
    let app = tx.query_one_raw(store.statement(app, [user_id.0.into()])).await?;
    Ok(app.is_some() || passkeys::count_in_tx(store, tx, user_id).await? > 0)
}

/// Forgets the app.
pub(super) async fn delete_app_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
) -> Result<(), StoreError> {
    let sql = "delete from user_totp where user_id = $1";
    tx.execute_raw(store.statement(sql, [user_id.0.into()])).await?;
    Ok(())
}

/// Forgets the recovery codes.
pub(super) async fn delete_codes_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
) -> Result<(), StoreError> {
    let sql = "delete from recovery_codes where user_id = $1";
    tx.execute_raw(store.statement(sql, [user_id.0.into()])).await?;
    Ok(())
}
