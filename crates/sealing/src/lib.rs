#![doc = include_str!("../README.md")]

mod cipher;
mod error;
mod file;
mod repo;
mod reseal;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::{DataKeyFileError, Error, KeysError, SealError};
pub use file::{DATA_KEYS_FILE, DataKeyFile};
pub use repo::{Encoding, SealedColumn};
pub use reseal::{Resealed, ResealedValues, forget_other_keys_in_tx, reseal_values};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use cipher::{KEY_BYTES, SealingKey};
use kernel::Timestamp;
use ports::DataKeySource;
use secrecy::ExposeSecret;
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// What is sealed: `finitech/<module>/<table>.<column>`. Each purpose has keys of its own, derived from the
/// data keys. A name is never changed: what is sealed under it would not open any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose(pub &'static str);

/// What can be looked for although it is sealed: `finitech/<module>/<kind>`. Equal texts of two kinds have
/// different indexes. A name is never changed: nothing would be found any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indexed(pub &'static str);

/// The data keys of this process, and the key of the blind indexes.
pub struct DataKeys {
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
pub struct Sealer<'a>(&'a SealingKey);

impl DataKeys {
    /// Gets the keys and checks that nothing in the store needs another one. The key of the blind indexes,
    /// which is sealed for `index_key`, is made when there is none.
    pub async fn init(
        store: &Store,
        source: &dyn DataKeySource,
        index_key: Purpose,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let ring = KeyRing::init(store, source).await?;
        let sealed = match repo::index_key(store).await? {
            Some(sealed) => sealed,
            None => ring.make_index_key(store, index_key, now).await?,
        };
        let secret = ring.open(index_key, repo::INDEX_KEY, &sealed)?;
        Ok(Self { ring, index_key: hmac::Key::new(hmac::HMAC_SHA256, &secret) })
    }

    /// For the transaction that stores what is sealed.
    pub async fn sealer_in_tx(
        &self,
        store: &Store,
        tx: &WriteTx,
        now: Timestamp,
    ) -> Result<Sealer<'_>, Error> {
        self.ring.sealer_in_tx(store, tx, now).await
    }

    /// What was sealed for this place.
    pub fn open(
        &self,
        purpose: impl Into<Purpose>,
        row: Uuid,
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.ring.open(purpose.into(), row, sealed)
    }

    /// The text that was sealed for this place.
    pub fn open_text(
        &self,
        purpose: impl Into<Purpose>,
        row: Uuid,
        sealed: &str,
    ) -> Result<String, SealError> {
        let sealed = STANDARD_NO_PAD.decode(sealed).map_err(|_| SealError::Broken)?;
        let text = self.open(purpose, row, &sealed)?;
        String::from_utf8(text).map_err(|_| SealError::Broken)
    }

    /// What stands for a text where it is looked for. It stays the same when data keys change.
    pub fn blind_index(&self, kind: impl Into<Indexed>, text: &str) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.index_key);
        context.update(kind.into().0.as_bytes());
        // No kind's name has this in it, so no two texts of different kinds are signed as one.
        context.update(&[0]);
        context.update(text.as_bytes());
        context.sign().as_ref().to_vec()
    }
}

impl KeyRing {
    async fn init(store: &Store, source: &dyn DataKeySource) -> Result<Self, Error> {
        let keys = source.load().await.map_err(KeysError::from)?;
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

    async fn make_index_key(
        &self,
        store: &Store,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Vec<u8>, Error> {
        let mut secret = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| SealError::Cipher)?;
        let tx = store.begin().await?;
        let sealer = self.sealer_in_tx(store, &tx, now).await?;
        let sealed = sealer.seal(purpose, repo::INDEX_KEY, &secret)?;
        // Another process may have been faster; then that one's counts.
        let sealed = repo::keep_index_key_in_tx(store, &tx, sealed, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(sealed)
    }

    fn require_all(&self, used: Vec<String>) -> Result<(), KeysError> {
        let mine: Vec<String> = self.keys.iter().map(SealingKey::name).collect();
        let missing: Vec<String> = used.into_iter().filter(|name| !mine.contains(name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let place = self.place.clone();
        Err(KeysError::Missing { place, names: missing.join(", ") })
    }
}

impl Sealer<'_> {
    /// Seals a secret for this place.
    pub fn seal(
        &self,
        purpose: impl Into<Purpose>,
        row: Uuid,
        secret: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.0.seal(purpose.into(), row, secret)
    }

    /// Seals a text for this place, in base64.
    pub fn seal_text(
        &self,
        purpose: impl Into<Purpose>,
        row: Uuid,
        text: &str,
    ) -> Result<String, SealError> {
        Ok(STANDARD_NO_PAD.encode(self.seal(purpose, row, text.as_bytes())?))
    }
}

#[cfg(feature = "testing")]
impl DataKeys {
    /// Keys that are each one byte repeated.
    pub fn for_tests(secrets: &[u8]) -> Self {
        let keys = secrets.iter().map(|byte| SealingKey::new(&[*byte; KEY_BYTES]));
        let keys = keys.collect::<Result<_, _>>().expect("bytes of a key");
        let ring = KeyRing { place: String::new(), keys };
        Self { ring, index_key: hmac::Key::new(hmac::HMAC_SHA256, &[9; KEY_BYTES]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Uuid = Uuid::from_u128(1);
    const INDEXED: Indexed = Indexed("finitech/test/email");
    const EMAIL: Purpose = Purpose("finitech/test/email");

    fn seal(keys: &DataKeys, text: &str) -> String {
        Sealer(keys.ring.newest().unwrap()).seal_text(EMAIL, ROW, text).unwrap()
    }

    #[test]
    fn a_new_key_seals_and_the_old_ones_still_open() {
        let (old, both) = (DataKeys::for_tests(&[1]), DataKeys::for_tests(&[1, 2]));
        let (by_old, by_new) = (seal(&old, "one"), seal(&both, "two"));
        assert_eq!(both.open_text(EMAIL, ROW, &by_old).unwrap(), "one");
        assert_eq!(both.open_text(EMAIL, ROW, &by_new).unwrap(), "two");
        assert_eq!(old.open_text(EMAIL, ROW, &by_new), Err(SealError::UnknownKey));
        assert_eq!(old.open_text(EMAIL, ROW, "a@b.c"), Err(SealError::Broken));
        let used = |keys: &DataKeys| keys.ring.keys.iter().map(SealingKey::name).collect();
        both.ring.require_all(used(&old)).unwrap();
        let refused = old.ring.require_all(used(&both));
        assert!(matches!(refused, Err(KeysError::Missing { .. })));
    }

    #[test]
    fn blind_indexes_stay_when_keys_change_and_differ_by_kind() {
        let index = |keys: &DataKeys, kind| keys.blind_index(kind, "amina@example.com");
        let (old, new) = (DataKeys::for_tests(&[1]), DataKeys::for_tests(&[2]));
        assert_eq!(index(&old, INDEXED), index(&new, INDEXED));
        assert_ne!(index(&old, INDEXED), index(&old, Indexed("finitech/test/other")));
        assert_ne!(
            old.blind_index(INDEXED, "amina@example.com"),
            old.blind_index(INDEXED, "amina@example.org")
        );
    }
}
