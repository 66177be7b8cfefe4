//! Argon2id, with a bound on how much of it happens at once: each hash takes 64 MiB, so a storm of
//! sign-ins must not become a storm of memory. PBKDF2 hashes of users who came from elsewhere are
//! read, not made.

mod acceptance;
mod pbkdf2;
mod policy;
mod rest;

pub(crate) use acceptance::{Acceptance, AcceptanceError, UNCHECKED};

use crate::PasswordHashConfig;
use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
};
use pbkdf2::Pbkdf2Hash;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::thread;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

/// Hashes and checks passwords.
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    /// Compared with when there is no such user, so that the answer takes as long.
    nobodys_hash: String,
    /// One permit for each hash being worked on or waited for.
    places: Arc<Semaphore>,
    /// One permit for each hash being worked on.
    workers: Arc<Semaphore>,
}

/// A place among those whose passwords are hashed or wait for it.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// What comparing a password with a stored hash showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right,
    /// Right, but the hash was made in another way than today's are.
    RightButOutdated,
}

/// Why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("too many sign-ins at once; try again in a moment")]
    Busy,
    #[error(transparent)]
    Hashing(#[from] HashingError),
}

/// The password hasher itself failed.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// The configured costs are outside what Argon2 allows (RFC 9106 section 3.1).
    #[error("the password hashing settings are not valid; see the limits of RFC 9106")]
    Settings(#[source] argon2::Error),
    /// A stored hash could not be read, or a new one not be made.
    #[error("a password hash could not be made or read")]
    Hash(#[source] argon2::password_hash::Error),
    /// A stored hash that came from elsewhere could not be read.
    #[error("a PBKDF2 hash of a password could not be read")]
    Unreadable,
    /// The machine gave no random bytes.
    #[error("the machine has no randomness to give")]
    Randomness,
    /// There was no thread for it.
    #[error("no thread could be started for a password hash")]
    Thread(#[source] std::io::Error),
    /// The work was cut short, because the program is ending.
    #[error("password hashing was interrupted")]
    Interrupted,
}

/// RFC 9106 section 3.1 recommends 16 bytes of salt; 32 bytes of hash are what the crate makes.
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// A tenth of the processor where everybody wants it, so that people get in all the same.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

impl Passwords {
    pub(crate) fn try_new(config: &PasswordHashConfig) -> Result<Self, HashingError> {
        let params = Params::new(config.memory_kib, config.iterations, config.lanes, None)
            .map_err(HashingError::Settings)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let workers = config.concurrent_max.clamp(1, Semaphore::MAX_PERMITS);
        let places = workers.saturating_add(config.waiting_max).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            nobodys_hash: nobodys_hash(&argon2)?,
            argon2,
            places: Arc::new(Semaphore::new(places)),
            workers: Arc::new(Semaphore::new(workers)),
        })
    }

    /// A new hash as a PHC string: `$argon2id$v=19$m=65536,t=3,p=4$salt$hash`.
    pub(crate) async fn hash(&self, password: &SecretString) -> Result<String, PasswordError> {
        let (argon2, password) = (self.argon2.clone(), password.clone());
        self.work(self.place()?, move || {
            let salt = random::<SALT_BYTES>()?;
            let hash: PasswordHash = argon2
                .hash_password_with_salt(password.expose_secret().as_bytes(), &salt)
                .map_err(HashingError::Hash)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Compares a password with a stored hash; without one the same work is done for nothing.
    pub(crate) async fn verify(
        &self,
        password: &SecretString,
        stored: Option<&str>,
    ) -> Result<Verdict, PasswordError> {
        self.verify_in(self.place()?, password, stored, false).await
    }

    /// The same for whoever has a place already. While there is a hash that came from elsewhere, whoever's
    /// it is, `has_imported` is true, and being wrong takes the work of both kinds.
    pub(crate) async fn verify_in(
        &self,
        place: Place,
        password: &SecretString,
        stored: Option<&str>,
        has_imported: bool,
    ) -> Result<Verdict, PasswordError> {
        let (argon2, password) = (self.argon2.clone(), password.clone());
        let stored = stored.unwrap_or(&self.nobodys_hash).to_owned();
        self.work(place, move || compare_evenly(&argon2, &password, &stored, has_imported)).await
    }

    /// A place, if one is free.
    pub(crate) fn place(&self) -> Result<Place, PasswordError> {
        match self.places.clone().try_acquire_owned() {
            Ok(permit) => Ok(Place { _permit: permit }),
            Err(TryAcquireError::NoPermits) => Err(PasswordError::Busy),
            Err(TryAcquireError::Closed) => Err(HashingError::Interrupted.into()),
        }
    }

    /// Does `work` on a thread of its own, when it is its turn.
    async fn work<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let worker =
            self.workers.clone().acquire_owned().await.map_err(|_| HashingError::Interrupted)?;
        let (sender, result) = oneshot::channel();
        // The permits go with the work: it is not cancelled when the client goes away.
        let work = move || {
            give_way();
            let result = work();
            drop((place, worker));
            // Nobody waits for it when the client went away.
            drop(sender.send(result));
        };
        thread::Builder::new().name("password".into()).spawn(work).map_err(HashingError::Thread)?;
        Ok(result.await.map_err(|_| HashingError::Interrupted)??)
    }
}

/// Lets the program's other threads go first: a hash keeps a core busy for a tenth of a second, for which
/// payments must not wait. A thread cannot take this back, so each hash has one of its own.
fn give_way() {
    // Elsewhere this is about the whole program.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "passwords are hashed as urgently as all else is done");
    }
}

/// Compares so that being wrong takes the same work whatever the hash is.
fn compare_evenly(
    argon2: &Argon2<'_>,
    password: &SecretString,
    stored: &str,
    has_imported: bool,
) -> Result<Verdict, HashingError> {
    let verdict = compare(argon2, password, stored)?;
    if verdict == Verdict::Wrong {
        rest::do_the_rest(argon2, password, stored, has_imported);
    }
    Ok(verdict)
}

fn compare(
    argon2: &Argon2<'_>,
    password: &SecretString,
    stored: &str,
) -> Result<Verdict, HashingError> {
    if Pbkdf2Hash::is_one(stored) {
        let stored = Pbkdf2Hash::parse(stored).ok_or(HashingError::Unreadable)?;
        let is_right = stored.is_of(password);
        return Ok(if is_right { Verdict::RightButOutdated } else { Verdict::Wrong });
    }
    let stored = PasswordHash::new(stored).map_err(|error| HashingError::Hash(error.into()))?;
    match argon2.verify_password(password.expose_secret().as_bytes(), &stored) {
        Ok(()) if is_current(argon2.params(), &stored) => Ok(Verdict::Right),
        Ok(()) => Ok(Verdict::RightButOutdated),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Verdict::Wrong),
        Err(error) => Err(HashingError::Hash(error)),
    }
}

fn is_current(today: &Params, stored: &PasswordHash) -> bool {
    let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    stored.algorithm == ARGON2ID_IDENT
        && stored.version == Some(Version::V0x13.into())
        && Params::try_from(stored).is_ok_and(|stored| costs(&stored) == costs(today))
}

/// A hash that no password has, with today's parameters. It costs nothing to make because its bytes
/// are random instead of computed.
fn nobodys_hash(argon2: &Argon2<'_>) -> Result<String, HashingError> {
    let (salt, output) = (random::<SALT_BYTES>()?, random::<HASH_BYTES>()?);
    let hash = || -> Result<PasswordHash, argon2::password_hash::Error> {
        Ok(PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: argon2.params().try_into()?,
            salt: Some(Salt::new(&salt)?),
            hash: Some(Output::new(&output)?),
        })
    };
    Ok(hash().map_err(HashingError::Hash)?.to_string())
}

fn random<const N: usize>() -> Result<[u8; N], HashingError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| HashingError::Randomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
