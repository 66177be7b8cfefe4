//! Making tokens, and finding and removing what stands behind them.

mod dice;
mod number;
mod repo;

#[cfg(test)]
mod tests;

pub use dice::NoRandomness;
pub(crate) use dice::{Dice, SystemDice};
pub use number::{
    CardNumber, CardToken, InvalidCardNumber, InvalidCardToken, contains_card_number,
};

use crate::events::{self, Deed};
use crate::secrets::{INDEXED_NUMBER, NUMBER};
use crate::{Cards, Error};
use identity_api::AuditRecord;
use kernel::{Timestamp, UserId};
use repo::{NewRow, Row};
use serde_json::json;
use store::{StoreError, WriteTx, outbox};
use uuid::Uuid;

/// A token in the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    /// Its id in events and in the audit trail.
    pub id: Uuid,
    /// The token.
    pub token: CardToken,
    /// Since when it stands for a number.
    pub created_at: Timestamp,
    /// When its number was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// The token of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokenized {
    /// The token.
    pub stored: StoredToken,
    /// Whether it was made for this request.
    pub is_new: bool,
}

/// How often a token is drawn before giving up. At least eight of nine draws find a free one, unless numbers
/// with the same digits at the ends were deleted hundreds of thousands of times.
const DRAWS_MAX: u32 = 64;

impl Cards {
    /// The token of a number: the one that it has, or a new one.
    pub async fn tokenize(&self, by: UserId, number: &CardNumber) -> Result<Tokenized, Error> {
        let deps = &self.0.deps;
        let (store, now) = (&deps.store, deps.clock.now());
        let index = self.0.keys.blind_index(INDEXED_NUMBER, number.expose_digits());
        if let Some(row) = repo::find_by_index(store, store.read(), &index).await? {
            return self.known(row, number);
        }
        let tx = store.begin().await?;
        let sealer = self.0.keys.sealer_in_tx(store, &tx, now).await?;
        for _ in 0..DRAWS_MAX {
            let (id, token) = (deps.ids.next(), CardToken::draw(number, self.0.dice.as_ref())?);
            let row = NewRow {
                id,
                token: token.as_str().to_owned(),
                sealed_number: sealer.seal(NUMBER, id, to_seal(&token, number).as_bytes())?,
                number_index: index.clone(),
                created_at: now,
                created_by: by.0,
            };
            if repo::insert_in_tx(store, &tx, row).await? {
                let stored = StoredToken { id, token, created_at: now, deleted_at: None };
                self.tell_and_commit(tx, Deed::Tokenized, &stored, by, None, now).await?;
                return Ok(Tokenized { stored, is_new: true });
            }
            // Either somebody else was faster with this number, or the token is taken.
            if let Some(row) = repo::find_by_index(store, &tx, &index).await? {
                return self.known(row, number);
            }
        }
        Err(Error::NoTokenLeft)
    }

    /// What is known of a token, without its number.
    pub async fn find(&self, token: &CardToken) -> Result<StoredToken, Error> {
        let store = &self.0.deps.store;
        let row = repo::find(store, store.read(), token.as_str()).await?;
        row.ok_or(Error::NoSuchToken)?.into_stored()
    }

    /// The number of a token. Who asked, and why, is in the audit trail before it is known.
    pub async fn detokenize(
        &self,
        by: UserId,
        token: &CardToken,
        reason: &str,
    ) -> Result<CardNumber, Error> {
        let (store, now) = (&self.0.deps.store, self.0.deps.clock.now());
        let tx = store.begin().await?;
        let row = repo::find(store, &tx, token.as_str()).await?.ok_or(Error::NoSuchToken)?;
        let number = self.open(&row)?;
        let stored = row.into_stored()?;
        self.tell_and_commit(tx, Deed::Disclosed, &stored, by, Some(reason), now).await?;
        Ok(number)
    }

    /// Removes the number of a token for good. The token stays, so that it never stands for another one;
    /// the number, should it come again, gets another token.
    pub async fn delete(
        &self,
        by: UserId,
        token: &CardToken,
        reason: &str,
    ) -> Result<StoredToken, Error> {
        let (store, now) = (&self.0.deps.store, self.0.deps.clock.now());
        let tx = store.begin().await?;
        let row = repo::find(store, &tx, token.as_str()).await?.ok_or(Error::NoSuchToken)?;
        let stored = row.into_stored()?;
        if !repo::delete_number_in_tx(store, &tx, stored.id, now).await? {
            return Err(Error::NumberDeleted);
        }
        let stored = StoredToken { deleted_at: Some(now), ..stored };
        self.tell_and_commit(tx, Deed::Deleted, &stored, by, Some(reason), now).await?;
        Ok(stored)
    }

    /// Writes the event; then, elsewhere and durably, the entry of the audit trail; and only then commits.
    /// So the trail may tell of something that failed at the last, and never lacks anything that was done.
    async fn tell_and_commit(
        &self,
        tx: WriteTx,
        deed: Deed,
        stored: &StoredToken,
        by: UserId,
        reason: Option<&str>,
        at: Timestamp,
    ) -> Result<(), Error> {
        let deps = &self.0.deps;
        outbox::append_in_tx(&deps.store, &tx, events::event(deed, stored.id, by, at)).await?;
        let mut details = json!({ "token": stored.token.as_str() });
        if let Some(reason) = reason {
            details["reason"] = reason.into();
        }
        let (action, object) = (deed.action(), Some(stored.id));
        let actor = Some(by);
        deps.audit.record(AuditRecord { actor, action, object, details, at, origin: None }).await?;
        Ok(tx.commit().await.map_err(StoreError::from)?)
    }

    /// The row that a number was found at, if what is sealed in it is that number.
    fn known(&self, row: Row, number: &CardNumber) -> Result<Tokenized, Error> {
        if self.open(&row)?.expose_digits() != number.expose_digits() {
            return Err(StoreError::inconsistent("tokens", "number_index", row.id).into());
        }
        Ok(Tokenized { stored: row.into_stored()?, is_new: false })
    }

    fn open(&self, row: &Row) -> Result<CardNumber, Error> {
        let sealed = row.sealed_number.as_ref().ok_or(Error::NumberDeleted)?;
        let broken = || StoreError::inconsistent("tokens", "sealed_number", row.id);
        let opened = self.0.keys.open(NUMBER, row.id, sealed).map_err(|error| {
            tracing::error!(token_id = %row.id, %error, "a sealed card number does not open");
            broken()
        })?;
        let opened = String::from_utf8(opened).map_err(|_| broken())?;
        let digits = opened.strip_prefix(&row.token).ok_or_else(broken)?;
        Ok(CardNumber::try_new(digits.into()).map_err(|_| broken())?)
    }
}

/// Both, so that a number does not open behind another token either.
fn to_seal(token: &CardToken, number: &CardNumber) -> String {
    format!("{}{}", token.as_str(), number.expose_digits())
}

impl Row {
    fn into_stored(self) -> Result<StoredToken, Error> {
        let token = CardToken::try_new(&self.token);
        let token = token.map_err(|_| StoreError::inconsistent("tokens", "token", self.id))?;
        Ok(StoredToken {
            id: self.id,
            token,
            created_at: Timestamp::from_micros(self.created_at),
            deleted_at: self.deleted_at.map(Timestamp::from_micros),
        })
    }
}
