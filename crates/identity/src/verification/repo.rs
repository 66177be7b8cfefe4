use super::entity::{Contact, INTERVAL, Sendings};
use kernel::{Timestamp, UserId};
use store::sea_orm::{self, ConnectionTrait, FromQueryResult};
use store::{Store, StoreError, WriteTx};

pub(super) async fn sendings(
    store: &Store,
    user_id: UserId,
    contact: Contact,
) -> Result<Option<Sendings>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        sent_at: i64,
        window_began_at: i64,
        sent_in_window: i64,
    }
    let found = Row::find_by_statement(store.statement(
        "select sent_at, window_began_at, sent_in_window from contact_codes \
         where user_id = $1 and contact = $2",
        [user_id.0.into(), contact.as_str().into()],
    ));
    Ok(found.one(store.read()).await?.map(|row| Sendings {
        last_at: Timestamp::from_micros(row.sent_at),
        window_began_at: Timestamp::from_micros(row.window_began_at),
        in_window: row.sent_in_window,
    }))
}

/// A code about to be sent.
pub(super) struct NewCode {
    pub(super) user_id: UserId,
    pub(super) contact: Contact,
    pub(super) code_hash: String,
    pub(super) attempts: i64,
    pub(super) expires_at: Timestamp,
    pub(super) sendings: Sendings,
}

/// Makes this the one code that counts; `false` if another one was made a moment ago.
pub(super) async fn replace(store: &Store, code: NewCode) -> Result<bool, StoreError> {
    let tx = store.begin().await?;
    let now = code.sendings.last_at;
    let replaced = tx
        .execute_raw(store.statement(
            "insert into contact_codes (user_id, contact, code_hash, attempts_left, sent_at, \
             expires_at, window_began_at, sent_in_window) values ($1, $2, $3, $4, $5, $6, $7, $8) \
             on conflict (user_id, contact) do update set code_hash = $3, attempts_left = $4, \
             sent_at = $5, expires_at = $6, window_began_at = $7, sent_in_window = $8 \
             where contact_codes.sent_at <= $9",
            [
                code.user_id.0.into(),
                code.contact.as_str().into(),
                code.code_hash.into(),
                code.attempts.into(),
                now.as_micros().into(),
                code.expires_at.as_micros().into(),
                code.sendings.window_began_at.as_micros().into(),
                code.sendings.in_window.into(),
                now.minus(INTERVAL).as_micros().into(),
            ],
        ))
        .await?;
    tx.commit().await?;
    Ok(replaced.rows_affected() == 1)
}

/// Takes one of the attempts, and answers with the hash to compare with and how many are left;
/// `None` when there is no code that counts.
pub(super) async fn take_attempt(
    store: &Store,
    user_id: UserId,
    contact: Contact,
    now: Timestamp,
) -> Result<Option<(String, i64)>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        code_hash: String,
        attempts_left: i64,
    }
    let tx = store.begin().await?;
    let taken = Row::find_by_statement(store.statement(
        "update contact_codes set attempts_left = attempts_left - 1 where user_id = $1 \
         and contact = $2 and attempts_left > 0 and expires_at > $3 \
         returning code_hash, attempts_left",
        [user_id.0.into(), contact.as_str().into(), now.as_micros().into()],
    ));
    let taken = taken.one(&tx).await?;
    tx.commit().await?;
    Ok(taken.map(|row| (row.code_hash, row.attempts_left)))
}

/// Marks a contact as the user's, and forgets its code; `false` if that is not the present code.
pub(super) async fn verify_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    contact: Contact,
    code_hash: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let taken = tx
        .execute_raw(store.statement(
            "delete from contact_codes where user_id = $1 and contact = $2 and code_hash = $3",
            [user_id.0.into(), contact.as_str().into(), code_hash.into()],
        ))
        .await?;
    let sql = match contact {
        Contact::Email => "update users set email_verified_at = $1 where id = $2",
        Contact::Phone => "update users set phone_verified_at = $1 where id = $2",
    };
    tx.execute_raw(store.statement(sql, [now.as_micros().into(), user_id.0.into()])).await?;
    Ok(taken.rows_affected() == 1)
}
