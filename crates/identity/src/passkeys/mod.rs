//! Passkeys (W3C Web Authentication Level 3): challenges, and what an authenticator answers to them. A
//! passkey verifies its user (a finger, a face, a PIN) and answers to our site alone, so it is two
//! factors in one, and no page that looks like ours gets anything out of it.
//!
//! That a user has one is their second factor, see [`crate::mfa`].

mod ceremony;
mod key;
mod repo;

pub use ceremony::Refusal;
pub(crate) use key::ALGORITHMS;
pub(crate) use repo::{Purpose, count_in_tx, delete_all_in_tx, delete_in_tx, use_in_tx};

use crate::audit::{self, NewEntry};
use crate::lock_out::{self, Subject};
use crate::secrets::{self, DataKeys, SealError};
use crate::tokens::OpaqueToken;
use crate::{Error, RelyingParty, events};
use ceremony::{ClientData, NewCredential};
use kernel::{Clock, IdSource, Timestamp, UserId};
use secrecy::SecretString;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// A passkey of a user.
#[derive(Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Given when it was added.
    pub id: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When somebody last showed it.
    pub last_used_at: Option<Timestamp>,
}

/// A challenge and whatever else a browser needs to know to ask an authenticator.
pub(crate) struct Question {
    pub(crate) relying_party: RelyingParty,
    pub(crate) challenge: SecretString,
    /// The credentials that may answer, or, in a registration, that are there already. Any may where none
    /// are named.
    pub(crate) credential_ids: Vec<Vec<u8>>,
}

/// An authenticator's answer to the question for a new passkey.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Registration {
    pub(crate) client_data: Vec<u8>,
    pub(crate) attestation_object: Vec<u8>,
}

/// An authenticator's answer to the question for one of its passkeys.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Assertion {
    pub(crate) credential_id: Vec<u8>,
    pub(crate) client_data: Vec<u8>,
    pub(crate) authenticator_data: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// Whose it is, as far as the authenticator knows; those know it that are asked for no certain one.
    pub(crate) user_handle: Option<Vec<u8>>,
}

/// A passkey that was shown, to be noted in the transaction that it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) id: Uuid,
    pub(crate) user_id: UserId,
    pub(crate) signature_count: i64,
}

/// Why a question was not asked, or a passkey not added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasskeyError {
    /// The operator has not said which site passkeys are for.
    #[error("this installation has no passkeys")]
    Off,
    /// The answer is not good.
    #[error("the authenticator's answer is not good: {0}")]
    Refused(Refusal),
    /// No question waits for it.
    #[error("the challenge is unknown, too old or was answered before; begin again")]
    NoChallenge,
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<StoreError> for PasskeyError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// The passkeys of all users.
pub(crate) struct Passkeys {
    pub(crate) store: Store,
    pub(crate) data_keys: Arc<DataKeys>,
    /// The site that they are for; without one there are none.
    pub(crate) relying_party: Option<RelyingParty>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
}

/// How long an answer may take.
pub(crate) const CHALLENGE_LIFETIME: Duration = Duration::from_mins(5);

impl Passkeys {
    /// Asks for a passkey, or for a new one.
    pub(crate) async fn ask(&self, purpose: Purpose) -> Result<Question, PasskeyError> {
        let relying_party = self.relying_party()?.clone();
        let credential_ids = match purpose.user_id() {
            Some(user_id) => repo::of(&self.store, user_id).await?,
            None => Vec::new(),
        };
        let challenge = OpaqueToken::generate()?;
        let now = self.clock.now();
        let (hash, end) = (challenge.hash(), now.plus(CHALLENGE_LIFETIME));
        let tx = self.store.begin().await?;
        repo::insert_challenge_in_tx(&self.store, &tx, hash, purpose, now, end).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Question {
            relying_party,
            challenge: challenge.into_secret(),
            credential_ids: credential_ids.into_iter().map(|row| row.credential_id).collect(),
        })
    }

    /// The new passkey that an authenticator made for this user.
    pub(crate) async fn registered(
        &self,
        user_id: UserId,
        answer: &Registration,
    ) -> Result<NewCredential, PasskeyError> {
        let relying_party = self.relying_party()?;
        let client_data = ClientData::parse(&answer.client_data).map_err(PasskeyError::Refused)?;
        self.take_challenge(&client_data, Purpose::Registration(user_id)).await?;
        ceremony::check_registration(relying_party, &client_data, &answer.attestation_object)
            .map_err(PasskeyError::Refused)
    }

    /// Whose passkey this is, if the answer is good; with `Confirmation`, only that user's is. A wrong
    /// answer by a known passkey is counted as a wrong password is, and none is good while the user is
    /// locked out.
    pub(crate) async fn shown(
        &self,
        purpose: Purpose,
        answer: &Assertion,
    ) -> Result<Shown, PasskeyError> {
        let relying_party = self.relying_party()?;
        let client_data = ClientData::parse(&answer.client_data).map_err(PasskeyError::Refused)?;
        self.take_challenge(&client_data, purpose).await?;
        let now = self.clock.now();
        let Some(row) = repo::find_by_credential(&self.store, &answer.credential_id).await? else {
            let (action, details) = ("credential_refused", json!({}));
            let entry = NewEntry { actor: None, action, object: None, details, at: now };
            audit::append(&self.store, entry).await?;
            return Err(PasskeyError::Refused(Refusal::OtherUser));
        };
        let owner = UserId(row.user_id);
        // A guess at the one who is asked counts against them, whosever passkey it is.
        let subject = Subject::user(purpose.user_id().unwrap_or(owner));
        let Some(attempt) = lock_out::take(&self.store, subject, now).await? else {
            return Err(PasskeyError::Refused(Refusal::OtherUser));
        };
        match check(relying_party, purpose, &client_data, answer, &row) {
            Ok(signature_count) => {
                attempt.forgive(&self.store).await?;
                Ok(Shown { id: row.id, user_id: owner, signature_count: signature_count.into() })
            }
            Err(refusal) => {
                tracing::info!(user_id = %owner.0, passkey_id = %row.id, %refusal, "refused a passkey");
                if refusal == Refusal::CounterWentBack {
                    self.tell_of_copy(owner, row.id, now).await?;
                }
                attempt.note_wrong(&self.store).await?;
                Err(PasskeyError::Refused(refusal))
            }
        }
    }

    /// A user's passkeys, newest first.
    pub(crate) async fn of(&self, user_id: UserId) -> Result<Vec<Passkey>, Error> {
        let rows = repo::of(&self.store, user_id).await?;
        let named = rows.into_iter().map(|row| {
            let purpose = secrets::Purpose::PasskeyName;
            let name = self.data_keys.open_text(purpose, row.id, &row.sealed_name)?;
            Ok(row.named(name))
        });
        Ok(named.collect::<Result<_, SealError>>()?)
    }

    /// Whether a user can be asked for one.
    pub(crate) async fn can_answer(&self, user_id: UserId) -> Result<bool, StoreError> {
        Ok(self.relying_party.is_some() && self.count(user_id).await? > 0)
    }

    /// How many a user has.
    pub(crate) async fn count(&self, user_id: UserId) -> Result<usize, StoreError> {
        Ok(repo::of(&self.store, user_id).await?.len())
    }

    /// Adds a passkey to a user's. The error is a unique violation when somebody has it.
    pub(crate) async fn insert_in_tx(
        &self,
        tx: &WriteTx,
        user_id: UserId,
        name: &str,
        credential: NewCredential,
        now: Timestamp,
    ) -> Result<Passkey, Error> {
        let id = self.ids.next();
        let sealed_name = self.seal_in_tx(tx, id, name, now).await?;
        let row = repo::Row {
            id,
            user_id: user_id.0,
            credential_id: credential.id,
            public_key: credential.public_key,
            signature_count: credential.signature_count.into(),
            sealed_name,
            created_at: now.as_micros(),
            last_used_at: None,
        };
        repo::insert_in_tx(&self.store, tx, row).await?;
        Ok(Passkey { id, name: name.to_owned(), created_at: now, last_used_at: None })
    }

    /// Gives a user's passkey another name; `false` if there is no such one.
    pub(crate) async fn rename(
        &self,
        user_id: UserId,
        id: Uuid,
        name: &str,
    ) -> Result<bool, Error> {
        let now = self.clock.now();
        let tx = self.store.begin().await?;
        let sealed_name = self.seal_in_tx(&tx, id, name, now).await?;
        if !repo::rename_in_tx(&self.store, &tx, user_id, id, sealed_name).await? {
            return Ok(false);
        }
        let (action, details) = ("passkey_renamed", json!({ "passkeyId": id }));
        let (actor, object) = (Some(user_id), Some(user_id.0));
        let entry = NewEntry { actor, action, object, details, at: now };
        audit::append_in_tx(&self.store, &tx, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(true)
    }

    fn relying_party(&self) -> Result<&RelyingParty, PasskeyError> {
        self.relying_party.as_ref().ok_or(PasskeyError::Off)
    }

    async fn seal_in_tx(
        &self,
        tx: &WriteTx,
        id: Uuid,
        name: &str,
        now: Timestamp,
    ) -> Result<String, Error> {
        let sealer = self.data_keys.sealer_in_tx(&self.store, tx, now).await?;
        Ok(sealer.seal_text(secrets::Purpose::PasskeyName, id, name)?)
    }

    /// Uses the challenge up that somebody answered, for good, whatever comes of the answer.
    async fn take_challenge(
        &self,
        client_data: &ClientData,
        purpose: Purpose,
    ) -> Result<(), PasskeyError> {
        let hash = OpaqueToken::hash_of(&client_data.challenge.clone().into());
        let tx = self.store.begin().await?;
        let now = self.clock.now();
        if !repo::take_challenge_in_tx(&self.store, &tx, hash, purpose, now).await? {
            return Err(PasskeyError::NoChallenge);
        }
        Ok(tx.commit().await.map_err(StoreError::from)?)
    }

    /// A counter that goes back says that there are two authenticators with one key.
    async fn tell_of_copy(
        &self,
        user_id: UserId,
        id: Uuid,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        tracing::warn!(user_id = %user_id.0, passkey_id = %id, "a passkey's counter went back");
        let tx = self.store.begin().await?;
        let event = events::passkey_changed(PasskeyChange::CounterWentBack, user_id, id, now);
        audit::tell_in_tx(&self.store, &tx, None, event, None).await?;
        Ok(tx.commit().await?)
    }
}

/// How far the authenticator counts, if the answer is good.
fn check(
    relying_party: &RelyingParty,
    purpose: Purpose,
    client_data: &ClientData,
    answer: &Assertion,
    row: &repo::Row,
) -> Result<u32, Refusal> {
    let is_theirs = match purpose {
        // Who the user is, only the authenticator has said.
        Purpose::SignIn => answer.user_handle.is_some(),
        Purpose::Registration(user_id) | Purpose::Confirmation(user_id) => user_id.0 == row.user_id,
    };
    let handle_is_right = |handle: &[u8]| handle == row.user_id.as_bytes();
    if !is_theirs || !answer.user_handle.as_deref().is_none_or(handle_is_right) {
        return Err(Refusal::OtherUser);
    }
    let count = ceremony::check_assertion(
        relying_party,
        (client_data, &answer.client_data),
        &answer.authenticator_data,
        &answer.signature,
        &row.public_key,
    )?;
    match ceremony::counts_on(row.signature_count, count.into()) {
        true => Ok(count),
        false => Err(Refusal::CounterWentBack),
    }
}

/// What happened to a passkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PasskeyChange {
    /// It was added.
    Added,
    /// It was removed.
    Removed,
    /// It came with a count that it had passed.
    CounterWentBack,
}
