//! The second factor: codes of an authenticator app, passkeys, and ten recovery codes for whoever lost
//! both. An app counts once the user has shown that it works. Wrong codes are counted as wrong passwords
//! are, but apart.

mod passkeys;
mod recovery;
mod repo;
mod totp;

use crate::audit::{self, NewEntry};
use crate::lock_out::{self, Subject};
use crate::messages::Messages;
use crate::passkeys::{Assertion, PasskeyError, Passkeys, Purpose as Question, Refusal, Shown};
use crate::passwords::{HashingError, PasswordError, Passwords, Place, Verdict};
use crate::secrets::{DataKeys, Purpose, SealError};
use crate::users::{self, Users, VerifyError};
use crate::{Error, events, roles, trusted_devices};
use kernel::{Actor, Clock, Timestamp, UserId};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::sync::Arc;
use store::{Store, StoreError, WriteTx};

/// What a user puts into an authenticator app. Does not print.
pub struct Enrolment {
    /// The shared secret in base32, to be typed in.
    pub secret: SecretString,
    /// The same as an `otpauth://` URI, for a QR code.
    pub uri: SecretString,
}

/// How somebody's second factor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MfaStatus {
    /// Whether a sign-in asks for it.
    pub is_on: bool,
    /// Whether there is an authenticator app.
    pub has_app: bool,
    /// How many passkeys there are.
    pub passkeys: usize,
    /// How many recovery codes are left.
    pub recovery_codes_left: usize,
}

/// Why the second factor was not changed.
#[derive(Debug, thiserror::Error)]
pub enum MfaError {
    /// The present password is wrong, or too many wrong ones came.
    #[error("the present password is wrong")]
    WrongPassword,
    /// The code or passkey is wrong, too old or was used before.
    #[error("the code or passkey is wrong, too old or was used before")]
    WrongCode,
    /// There is one.
    #[error("the second factor is on; switch it off first")]
    AlreadyOn,
    /// The operator has not said which site passkeys are for.
    #[error("this installation has no passkeys")]
    PasskeysOff,
    /// What the authenticator made of the question for a new passkey is not good.
    #[error("the authenticator's answer is not good: {0}")]
    PasskeyRefused(Refusal),
    /// No question waits for the answer.
    #[error("the challenge is unknown, too old or was answered before; begin again")]
    NoChallenge,
    /// Somebody has this passkey.
    #[error("this passkey was added before")]
    PasskeyTaken,
    /// There are as many as one may have.
    #[error("there are {0} passkeys, as many as one may have; remove one first")]
    TooManyPasskeys(usize),
    /// There is no such passkey.
    #[error("there is no such passkey")]
    NoSuchPasskey,
    /// Staff have to have one.
    #[error("staff need a second factor; add another one first")]
    Needed,
    /// There is none, or none that waits for its confirmation.
    #[error("there is no second factor to do this with; begin with a new one")]
    NotThere,
    /// The session ended meanwhile, or goes on with other tokens.
    #[error("the session is over, or goes on with other tokens; use those, or sign in again")]
    SessionOver,
    /// Too many passwords and codes are being checked.
    #[error("too many sign-ins at once; try again in a moment")]
    Busy,
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<StoreError> for MfaError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<SealError> for MfaError {
    fn from(error: SealError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<HashingError> for MfaError {
    fn from(error: HashingError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<PasswordError> for MfaError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Hashing(error) => error.into(),
        }
    }
}

impl From<VerifyError> for MfaError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Password(error) => error.into(),
            VerifyError::Store(error) => error.into(),
        }
    }
}

impl From<PasskeyError> for MfaError {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::Off => Self::PasskeysOff,
            PasskeyError::Refused(refusal) => Self::PasskeyRefused(refusal),
            PasskeyError::NoChallenge => Self::NoChallenge,
            PasskeyError::Failed(error) => Self::Failed(error),
        }
    }
}

/// What somebody shows as their second factor.
pub(crate) enum Answer {
    /// A code of the app, or a recovery code.
    Code(SecretString),
    /// A passkey.
    Passkey(Assertion),
}

/// An answer that was found right, to be used up in the transaction that it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    Totp { step: i64 },
    RecoveryCode { position: i64, code_hash: String },
    Passkey(Shown),
}

/// Second factors of all users.
pub(crate) struct Mfa {
    pub(crate) store: Store,
    pub(crate) users: Arc<Users>,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) data_keys: Arc<DataKeys>,
    pub(crate) passkeys: Arc<Passkeys>,
    pub(crate) messages: Messages,
    pub(crate) issuer: String,
    /// Whether staff get nowhere as staff without one.
    pub(crate) staff_need_one: bool,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Mfa {
    pub(crate) async fn status(&self, user_id: UserId) -> Result<MfaStatus, StoreError> {
        let has_app = self.has_app(user_id).await?;
        let passkeys = self.passkeys.count(user_id).await?;
        Ok(MfaStatus {
            is_on: has_app || passkeys > 0,
            has_app,
            passkeys,
            recovery_codes_left: repo::codes_left(&self.store, user_id).await?,
        })
    }

    /// Whether a sign-in of this user needs more than the password.
    pub(crate) async fn is_on(&self, user_id: UserId) -> Result<bool, StoreError> {
        Ok(self.has_app(user_id).await? || self.passkeys.count(user_id).await? > 0)
    }

    async fn has_app(&self, user_id: UserId) -> Result<bool, StoreError> {
        let factor = repo::find(&self.store, user_id).await?;
        Ok(factor.is_some_and(|factor| factor.confirmed_at.is_some()))
    }

    /// Whether this user has to have one.
    pub(crate) async fn is_needed(&self, user_id: UserId) -> Result<bool, StoreError> {
        Ok(self.staff_need_one && roles::grants(&self.store, user_id).await?.are_of_staff())
    }

    /// Whether there is one, within the transaction of a sign-in, which has locked the user's row: it is
    /// switched on and off under that lock only.
    pub(crate) async fn is_on_in_tx(
        &self,
        tx: &WriteTx,
        user_id: UserId,
    ) -> Result<bool, StoreError> {
        repo::has_factor_in_tx(&self.store, tx, user_id).await
    }

    /// Makes a secret for the actor's app. It replaces one that was never confirmed.
    pub(crate) async fn begin(
        &self,
        actor: &Actor,
        password: &SecretString,
    ) -> Result<Enrolment, MfaError> {
        let user_id = actor.user_id;
        let user = self.users.verify_own(user_id, password).await?;
        let user = user.ok_or(MfaError::WrongPassword)?;
        let mut secret = [0; totp::SECRET_BYTES];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| HashingError::Randomness)?;
        let now = self.clock.now();
        let tx = self.store.begin().await?;
        let sealer =
            self.data_keys.sealer_in_tx(&self.store, &tx, now).await.map_err(Error::from)?;
        let sealed = sealer.seal(Purpose::Totp, user_id.0, &secret)?;
        if !repo::replace_unconfirmed_in_tx(&self.store, &tx, user_id, sealed, now).await? {
            return Err(MfaError::AlreadyOn);
        }
        let (actor, action, object) = (Some(user_id), "mfa_enrolment_begun", Some(user_id.0));
        let begun = NewEntry { actor, action, object, details: json!({}), at: now };
        audit::append_in_tx(&self.store, &tx, begun).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Enrolment {
            secret: totp::base32(&secret).into(),
            uri: totp::uri(&self.issuer, &user.email, &secret).into(),
        })
    }

    /// Switches the second factor on if this is a code of the app, and gives out recovery codes.
    pub(crate) async fn confirm(
        &self,
        actor: &Actor,
        code: &SecretString,
    ) -> Result<Vec<SecretString>, MfaError> {
        let user_id = actor.user_id;
        let factor = repo::find(&self.store, user_id).await?.ok_or(MfaError::NotThere)?;
        if factor.confirmed_at.is_some() {
            return Err(MfaError::AlreadyOn);
        }
        let now = self.clock.now();
        let secret = self.data_keys.open(Purpose::Totp, user_id.0, &factor.sealed_secret)?;
        let step = totp::matching_step(&secret, code.expose_secret(), now, factor.last_used_step);
        let step = step.ok_or(MfaError::WrongCode)?;
        let (codes, hashes) = self.recovery_codes().await?;
        let tx = self.store.begin().await?;
        let is_active = users::repo::lock_active_in_tx(&self.store, &tx, user_id).await?;
        if !is_active || !repo::confirm_in_tx(&self.store, &tx, user_id, &factor, step, now).await?
        {
            return Err(MfaError::NotThere);
        }
        repo::replace_codes_in_tx(&self.store, &tx, user_id, &hashes).await?;
        let event = events::mfa_switched(user_id, true, now);
        audit::tell_in_tx(&self.store, &tx, Some(user_id), event, None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(codes)
    }

    /// Gives out recovery codes that take the place of those there are.
    pub(crate) async fn renew_codes(
        &self,
        actor: &Actor,
        answer: &Answer,
    ) -> Result<Vec<SecretString>, MfaError> {
        let user_id = actor.user_id;
        if !self.is_on(user_id).await? {
            return Err(MfaError::NotThere);
        }
        let proof = self.check(user_id, answer).await?.ok_or(MfaError::WrongCode)?;
        let (codes, hashes) = self.recovery_codes().await?;
        let now = self.clock.now();
        let tx = self.store.begin().await?;
        let is_active = users::repo::lock_active_in_tx(&self.store, &tx, user_id).await?;
        if !is_active || !self.spend_in_tx(&tx, user_id, &proof, now).await? {
            return Err(MfaError::WrongCode);
        }
        repo::replace_codes_in_tx(&self.store, &tx, user_id, &hashes).await?;
        let event = events::recovery_codes_renewed(user_id, now);
        audit::tell_in_tx(&self.store, &tx, Some(user_id), event, None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(codes)
    }

    /// New recovery codes, and what is stored of them.
    async fn recovery_codes(&self) -> Result<(Vec<SecretString>, Vec<String>), MfaError> {
        let (mut codes, mut hashes) = (Vec::new(), Vec::new());
        for position in 0..recovery::COUNT {
            let code = recovery::generate(position)?;
            hashes.push(self.passwords.hash(&code).await?);
            codes.push(code);
        }
        Ok((codes, hashes))
    }

    /// Does without the app. If there is no passkey either, the second factor is off.
    pub(crate) async fn disable(
        &self,
        actor: &Actor,
        password: &SecretString,
        answer: &Answer,
    ) -> Result<(), MfaError> {
        let user_id = actor.user_id;
        if !self.has_app(user_id).await? {
            return Err(MfaError::NotThere);
        }
        if self.users.verify_own(user_id, password).await?.is_none() {
            return Err(MfaError::WrongPassword);
        }
        let proof = self.check(user_id, answer).await?.ok_or(MfaError::WrongCode)?;
        let (is_needed, now) = (self.is_needed(user_id).await?, self.clock.now());
        let tx = self.store.begin().await?;
        let is_active = users::repo::lock_active_in_tx(&self.store, &tx, user_id).await?;
        if !is_active || !self.spend_in_tx(&tx, user_id, &proof, now).await? {
            return Err(MfaError::WrongCode);
        }
        repo::delete_app_in_tx(&self.store, &tx, user_id).await?;
        if !self.switch_off_in_tx(&tx, user_id, is_needed, now).await? {
            let event = events::authenticator_app_removed(user_id, now);
            audit::tell_in_tx(&self.store, &tx, Some(user_id), event, None).await?;
        }
        Ok(tx.commit().await.map_err(StoreError::from)?)
    }

    /// Forgets all that a user's sign-in asks for beside the password, and the wrong codes that were
    /// counted.
    pub(crate) async fn remove_all_in_tx(
        &self,
        tx: &WriteTx,
        user_id: UserId,
    ) -> Result<(), StoreError> {
        repo::delete_app_in_tx(&self.store, tx, user_id).await?;
        repo::delete_codes_in_tx(&self.store, tx, user_id).await?;
        crate::passkeys::delete_all_in_tx(&self.store, tx, user_id).await?;
        trusted_devices::forget_all_in_tx(&self.store, tx, user_id).await?;
        lock_out::forget_in_tx(&self.store, tx, Subject::codes(user_id)).await
    }

    /// What the end of the last factor entails; `false` if one is left. Of who has to have one, the last
    /// does not end.
    async fn switch_off_in_tx(
        &self,
        tx: &WriteTx,
        user_id: UserId,
        is_needed: bool,
        now: Timestamp,
    ) -> Result<bool, MfaError> {
        if repo::has_factor_in_tx(&self.store, tx, user_id).await? {
            return Ok(false);
        }
        if is_needed {
            return Err(MfaError::Needed);
        }
        repo::delete_codes_in_tx(&self.store, tx, user_id).await?;
        trusted_devices::forget_all_in_tx(&self.store, tx, user_id).await?;
        let event = events::mfa_switched(user_id, false, now);
        audit::tell_in_tx(&self.store, tx, Some(user_id), event, None).await?;
        Ok(true)
    }

    /// Whether this is a code of the user's app, one of their recovery codes or one of their passkeys. It
    /// is counted as a wrong one until it is spent. None is right while wrong ones lock the user out.
    pub(crate) async fn check(
        &self,
        user_id: UserId,
        answer: &Answer,
    ) -> Result<Option<Proof>, MfaError> {
        match answer {
            Answer::Code(code) => self.check_code(user_id, code).await,
            Answer::Passkey(assertion) => {
                let question = Question::Confirmation(user_id);
                match self.passkeys.shown(question, assertion).await {
                    Ok(shown) => Ok(Some(Proof::Passkey(shown))),
                    Err(PasskeyError::Refused(_) | PasskeyError::NoChallenge) => Ok(None),
                    Err(error @ (PasskeyError::Off | PasskeyError::Failed(_))) => Err(error.into()),
                }
            }
        }
    }

    async fn check_code(
        &self,
        user_id: UserId,
        code: &SecretString,
    ) -> Result<Option<Proof>, MfaError> {
        let recovery_code = match recovery::parse(code.expose_secret()) {
            // Who finds no place is not counted.
            Some((position, code)) => Some((self.passwords.place()?, position, code)),
            None => None,
        };
        let subject = Subject::codes(user_id);
        let Some(attempt) = lock_out::take(&self.store, subject, self.clock.now()).await? else {
            return Ok(None);
        };
        let proof = match recovery_code {
            Some((place, position, code)) => {
                self.check_recovery_code(place, user_id, position, &code).await?
            }
            None => self.check_totp(user_id, code).await?,
        };
        if proof.is_none() {
            attempt.note_wrong(&self.store).await?;
        }
        Ok(proof)
    }

    /// Uses a proof up, which forgives wrong ones; `false` if it was used meanwhile.
    pub(crate) async fn spend_in_tx(
        &self,
        tx: &WriteTx,
        user_id: UserId,
        proof: &Proof,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let is_spent = repo::spend_in_tx(&self.store, tx, user_id, proof, now).await?;
        if is_spent {
            lock_out::forget_in_tx(&self.store, tx, Subject::codes(user_id)).await?;
        }
        Ok(is_spent)
    }

    async fn check_totp(
        &self,
        user_id: UserId,
        code: &SecretString,
    ) -> Result<Option<Proof>, MfaError> {
        let factor = repo::find(&self.store, user_id).await?;
        let Some(factor) = factor.filter(|factor| factor.confirmed_at.is_some()) else {
            return Ok(None);
        };
        let secret = self.data_keys.open(Purpose::Totp, user_id.0, &factor.sealed_secret)?;
        let (typed, now) = (code.expose_secret().trim(), self.clock.now());
        let step = totp::matching_step(&secret, typed, now, factor.last_used_step);
        Ok(step.map(|step| Proof::Totp { step }))
    }

    async fn check_recovery_code(
        &self,
        place: Place,
        user_id: UserId,
        position: i64,
        code: &SecretString,
    ) -> Result<Option<Proof>, MfaError> {
        let Some(code_hash) = repo::code_hash(&self.store, user_id, position).await? else {
            return Ok(None);
        };
        let verdict = self.passwords.verify_in(place, code, Some(&code_hash), false).await?;
        let is_right = verdict != Verdict::Wrong;
        Ok(is_right.then_some(Proof::RecoveryCode { position, code_hash }))
    }
}
