//! What must be read again, sealed: AES-256-GCM under a data key. The last data key seals, each of
//! them opens. What is sealed says which key it needs, and opens only in the row and column that it
//! was sealed for. Looking for a sealed text goes by its blind index, a digest under a key of its own.
//!
//! Every process on one database needs the same data keys. The database keeps their names, so that a
//! process that lacks one refuses to start instead of failing later.

mod cipher;
mod file;
mod repo;
mod reseal;

pub use file::{DATA_KEYS_FILE, DataKeyFile};
pub use reseal::Resealed;
pub(crate) use reseal::reseal;

use crate::Error;
use crate::keys::KeyFileError;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use cipher::{KEY_BYTES, SealingKey};
use kernel::Timestamp;
use ports::DataKeySource;
use secrecy::ExposeSecret;
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// What is sealed, by table and column. Each has keys of its own, derived from the data keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The shared secret of a second factor.
    Totp,
    /// A user's e-mail address.
    Email,
    /// A user's phone number.
    PhoneNumber,
    /// What others see of a user.
    DisplayName,
    /// An e-mail address that is to take the place of a user's.
    NewEmail,
    /// A phone number that is to.
    NewPhoneNumber,
    /// What somebody calls a passkey of theirs.
    PasskeyName,
    /// The key of the blind indexes.
    IndexKey,
}

impl Purpose {
    /// Never to be changed: what is sealed under it would not open any more.
    fn name(self) -> &'static str {
        match self {
            Self::Totp => "finitech/identity/totp",
            Self::Email => "finitech/identity/users.sealed_email",
            Self::PhoneNumber => "finitech/identity/users.sealed_phone_number",
            Self::DisplayName => "finitech/identity/users.sealed_display_name",
            Self::NewEmail => "finitech/identity/contact_codes.sealed_new_email",
            Self::NewPhoneNumber => "finitech/identity/contact_codes.sealed_new_phone_number",
            Self::PasskeyName => "finitech/identity/passkeys.sealed_name",
            Self::IndexKey => "finitech/identity/index_keys.sealed_key",
        }
    }
}

/// What can be looked for although it is sealed. Equal texts of two kinds have different indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Indexed {
    /// An e-mail address, normalised.
    Email,
    /// A phone number, normalised.
    PhoneNumber,
    /// What somebody typed who is not registered.
    Stranger,
}

impl Indexed {
    /// Never to be changed: nobody would be found any more.
    fn name(self) -> &'static str {
        match self {
            Self::Email => "finitech/identity/email",
            Self::PhoneNumber => "finitech/identity/phone-number",
            Self::Stranger => "finitech/identity/stranger",
        }
    }
}

/// The data keys of this process, and the key of the blind indexes.
pub(crate) struct DataKeys {
    ring: KeyRing,
    index_key: hmac::Key,
}

/// The data keys of this process.
struct KeyRing {
    /// Where they came from.
    place: String,
    keys: Vec<SealingKey>,
}

/// Seals with the newest key, in the transaction that it was made for.
pub(crate) struct Sealer<'a>(&'a SealingKey);

/// A secret could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was sealed with a key that this process does not have.
    #[error("a secret needs a data key that this process does not have")]
    UnknownKey,
    /// It was changed, or belongs to another row.
    #[error("a sealed secret is broken")]
    Broken,
    /// The cipher failed.
    #[error("a secret could not be sealed")]
    Cipher,
}

impl DataKeys {
    /// Gets the keys and checks that nothing in the database needs another one. The key of the blind
    /// indexes is made when there is none.
    pub(crate) async fn init(
        store: &Store,
        source: &dyn DataKeySource,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let ring = KeyRing::init(store, source).await?;
        let sealed = match repo::index_key(store).await? {
            Some(sealed) => sealed,
            None => ring.make_index_key(store, now).await?,
        };
        let secret = ring.open(Purpose::IndexKey, repo::INDEX_KEY, &sealed)?;
        Ok(Self { ring, index_key: hmac::Key::new(hmac::HMAC_SHA256, &secret) })
    }

    /// For the transaction that stores what is sealed.
    pub(crate) async fn sealer_in_tx(
        &self,
        store: &Store,
        tx: &WriteTx,
        now: Timestamp,
    ) -> Result<Sealer<'_>, Error> {
        self.ring.sealer_in_tx(store, tx, now).await
    }

    /// What was sealed for this place.
    pub(crate) fn open(
        &self,
        purpose: Purpose,
        row: Uuid,
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.ring.open(purpose, row, sealed)
    }

    /// The text that was sealed for this place.
    pub(crate) fn open_text(
        &self,
        purpose: Purpose,
        row: Uuid,
        sealed: &str,
    ) -> Result<String, SealError> {
        let sealed = STANDARD_NO_PAD.decode(sealed).map_err(|_| SealError::Broken)?;
        let text = self.open(purpose, row, &sealed)?;
        String::from_utf8(text).map_err(|_| SealError::Broken)
    }

    /// What stands for a text where it is looked for. It stays the same when data keys change.
    pub(crate) fn blind_index(&self, kind: Indexed, text: &str) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.index_key);
        context.update(kind.name().as_bytes());
        // No kind's name has this in it, so no two texts of different kinds are signed as one.
        context.update(&[0]);
        context.update(text.as_bytes());
        context.sign().as_ref().to_vec()
    }
}

impl KeyRing {
    async fn init(store: &Store, source: &dyn DataKeySource) -> Result<Self, Error> {
        let keys = source.load().await?;
        let keys = keys.iter().map(|key| SealingKey::new(key.expose_secret()));
        let ring = Self { place: source.name(), keys: keys.collect::<Result<_, _>>()? };
        ring.require_all(repo::names(store).await?)?;
        Ok(ring)
    }

    fn newest(&self) -> Result<&SealingKey, SealError> {
        self.keys.last().ok_or(SealError::UnknownKey)
    }

    async fn sealer_in_tx(
        &self,
        store: &Store,
        tx: &WriteTx,
        now: Timestamp,
    ) -> Result<Sealer<'_>, Error> {
        let key = self.newest()?;
        // Another process may have begun with another key since this one started.
        self.require_all(repo::note_in_tx(store, tx, &key.name(), now).await?)?;
        Ok(Sealer(key))
    }

    fn open(&self, purpose: Purpose, row: Uuid, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.keys.iter().find(|key| sealed.starts_with(&key.header()));
        key.ok_or(SealError::UnknownKey)?.open(purpose, row, sealed)
    }

    async fn make_index_key(&self, store: &Store, now: Timestamp) -> Result<Vec<u8>, Error> {
        let mut secret = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| SealError::Cipher)?;
        let tx = store.begin().await?;
        let sealer = self.sealer_in_tx(store, &tx, now).await?;
        let sealed = sealer.seal(Purpose::IndexKey, repo::INDEX_KEY, &secret)?;
        // Another process may have been faster; then that one's counts.
        let sealed = repo::keep_index_key_in_tx(store, &tx, sealed, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(sealed)
    }

    fn require_all(&self, used: Vec<String>) -> Result<(), KeyFileError> {
        let mine: Vec<String> = self.keys.iter().map(SealingKey::name).collect();
        let missing: Vec<String> = used.into_iter().filter(|name| !mine.contains(name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let place = self.place.clone();
        Err(KeyFileError::MissingDataKeys { place, names: missing.join(", ") })
    }
}

impl Sealer<'_> {
    /// Seals a secret for this place.
    pub(crate) fn seal(
        &self,
        purpose: Purpose,
        row: Uuid,
        secret: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.0.seal(purpose, row, secret)
    }

    /// Seals a text for this place, in base64.
    pub(crate) fn seal_text(
        &self,
        purpose: Purpose,
        row: Uuid,
        text: &str,
    ) -> Result<String, SealError> {
        Ok(STANDARD_NO_PAD.encode(self.seal(purpose, row, text.as_bytes())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl DataKeys {
        /// Keys that are each one byte repeated.
        pub(crate) fn for_tests(secrets: &[u8]) -> Self {
            let keys = secrets.iter().map(|byte| SealingKey::new(&[*byte; KEY_BYTES]).unwrap());
            let ring = KeyRing { place: String::new(), keys: keys.collect() };
            Self { ring, index_key: hmac::Key::new(hmac::HMAC_SHA256, &[9; KEY_BYTES]) }
        }
    }

    const ROW: Uuid = Uuid::from_u128(1);

    fn seal(keys: &DataKeys, text: &str) -> String {
        Sealer(keys.ring.newest().unwrap()).seal_text(Purpose::Email, ROW, text).unwrap()
    }

    #[test]
    fn a_new_key_seals_and_the_old_ones_still_open() {
        let (old, both) = (DataKeys::for_tests(&[1]), DataKeys::for_tests(&[1, 2]));
        let (by_old, by_new) = (seal(&old, "one"), seal(&both, "two"));
        assert_eq!(both.open_text(Purpose::Email, ROW, &by_old).unwrap(), "one");
        assert_eq!(both.open_text(Purpose::Email, ROW, &by_new).unwrap(), "two");
        assert_eq!(old.open_text(Purpose::Email, ROW, &by_new), Err(SealError::UnknownKey));
        assert_eq!(old.open_text(Purpose::Email, ROW, "a@b.c"), Err(SealError::Broken));
        let used = |keys: &DataKeys| keys.ring.keys.iter().map(SealingKey::name).collect();
        both.ring.require_all(used(&old)).unwrap();
        let refused = old.ring.require_all(used(&both));
        assert!(matches!(refused, Err(KeyFileError::MissingDataKeys { .. })));
    }

    #[test]
    fn blind_indexes_stay_when_keys_change_and_differ_by_kind() {
        let index = |keys: &DataKeys, kind| keys.blind_index(kind, "amina@example.com");
        let (old, new) = (DataKeys::for_tests(&[1]), DataKeys::for_tests(&[2]));
        assert_eq!(index(&old, Indexed::Email), index(&new, Indexed::Email));
        assert_ne!(index(&old, Indexed::Email), index(&old, Indexed::Stranger));
        assert_ne!(
            old.blind_index(Indexed::Email, "amina@example.com"),
            old.blind_index(Indexed::Email, "amina@example.org")
        );
    }
}
