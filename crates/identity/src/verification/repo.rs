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
    /// What takes the place of the present contact, sealed, if the code was sent there.
    pub(super) sealed_new: Option<String>,
}

/// Makes this the one code that counts; `false` if another one was made a moment ago.
pub(super) async fn replace_in_tx(
    store: &Store,
    tx: &WriteTx,
    code: NewCode,
) -> Result<bool, StoreError> {
    let (new_email, new_phone_number) = match code.contact {
        Contact::Email => (code.sealed_new, None),
        Contact::Phone => (None, code.sealed_new),
    };
    let now = code.sendings.last_at;
    let replaced = tx
        .execute_raw(store.statement(
            "insert into contact_codes (user_id, contact, code_hash, attempts_left, sent_at, \
             expires_at, window_began_at, sent_in_window, sealed_new_email, \
             sealed_new_phone_number) values ($1, $2, $3, $4, $5, $6, $7, $8, $10, $11) \
             on conflict (user_id, contact) do update set code_hash = $3, attempts_left = $4, \
             sent_at = $5, expires_at = $6, window_began_at = $7, sent_in_window = $8, \
             sealed_new_email = $10, sealed_new_phone_number = $11 where contact_codes.sent_at <= $9",
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
                new_email.into(),
                new_phone_number.into(),
            ],
        ))
        .await?;
    Ok(replaced.rows_affected() == 1)
}

/// A code that somebody tries.
#[derive(FromQueryResult)]
pub(super) struct Attempt {
    pub(super) code_hash: String,
    pub(super) attempts_left: i64,
    sealed_new_email: Option<String>,
    sealed_new_phone_number: Option<String>,
}

impl Attempt {
    /// What takes the place of the present contact, sealed.
    pub(super) fn sealed_new(self) -> Option<String> {
        self.sealed_new_email.or(self.sealed_new_phone_number)
    }
}

/// Takes one of the attempts; `None` when there is no code that counts for this.
pub(super) async fn take_attempt(
    store: &Store,
    user_id: UserId,
    contact: Contact,
    is_change: bool,
    now: Timestamp,
) -> Result<Option<Attempt>, StoreError> {
    let tx = store.begin().await?;
    let taken = Attempt::find_by_statement(store.statement(
        "update contact_codes set attempts_left = attempts_left - 1 where user_id = $1 \
         and contact = $2 and attempts_left > 0 and expires_at > $3 \
         and $4 = case when coalesce(sealed_new_email, sealed_new_phone_number) is null \
         then 0 else 1 end \
         returning code_hash, attempts_left, sealed_new_email, sealed_new_phone_number",
        [
            user_id.0.into(),
            contact.as_str().into(),
            now.as_micros().into(),
            i32::from(is_change).into(),
        ],
    ));
    let taken = taken.one(&tx).await?;
    tx.commit().await?;
    Ok(taken)
}

/// Forgets a code; `false` if it is not the present one any more.
pub(super) async fn take_code_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    contact: Contact,
    code_hash: &str,
) -> Result<bool, StoreError> {
    let taken = tx
        .execute_raw(store.statement(
            "delete from contact_codes where user_id = $1 and contact = $2 and code_hash = $3",
            [user_id.0.into(), contact.as_str().into(), code_hash.into()],
        ))
        .await?;
    Ok(taken.rows_affected() == 1)
}
