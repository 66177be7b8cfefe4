//! Secrets that must be read again, sealed: AES-256-GCM under a data key. The keys stand in a file,
//! one a line in base64; the last one seals, each of them opens. A sealed secret says which key it
//! needs, and opens only for the row that it was sealed for.
//!
//! Every process on one database needs the same keys. The database keeps their names, so that a
//! process that lacks one refuses to start instead of failing later.

mod file;
mod repo;

use crate::Error;
use crate::keys::KeyFileError;
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use kernel::{IdSource, Timestamp};
use std::path::{Path, PathBuf};
use store::{Store, WriteTx};
use uuid::Uuid;

/// What a secret is for. Each purpose has keys of its own, derived from the data keys (RFC 5869).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The shared secret of a second factor.
    Totp,
}

impl Purpose {
    fn info(self) -> &'static [u8] {
        match self {
            Self::Totp => b"finitech/identity/totp",
        }
    }
}

/// The keys of this process.
pub(crate) struct DataKeys {
    path: PathBuf,
    keys: Vec<DataKey>,
}

struct DataKey {
    name: [u8; NAME_BYTES],
    prk: Prk,
}

/// A secret could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was sealed with a key that is not in this process's file.
    #[error("a secret needs a data key that this process does not have")]
    UnknownKey,
    /// It was changed, or belongs to another row.
    #[error("a sealed secret is broken")]
    Broken,
    /// The cipher failed.
    #[error("a secret could not be sealed")]
    Cipher,
}

/// The first byte of everything sealed in this way.
const FORMAT: u8 = 1;
const NAME_BYTES: usize = 8;
const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;

impl DataKeys {
    /// Reads the folder's keys, after making one if there are none, and checks that nothing in the
    /// database needs another one.
    pub(crate) async fn init(
        store: &Store,
        folder: &Path,
        ids: &dyn IdSource,
    ) -> Result<Self, Error> {
        let keys = file::load_or_create(folder, ids.next())?;
        let keys = keys.iter().map(|key| DataKey::new(key)).collect::<Result<_, _>>()?;
        let keys = Self { path: file::path(folder), keys };
        let used = repo::names(store).await?;
        keys.require_all(used)?;
        Ok(keys)
    }

    /// Seals a secret of a row. `tx` is the transaction that stores it.
    pub(crate) async fn seal_in_tx(
        &self,
        store: &Store,
        tx: &WriteTx,
        (purpose, row): (Purpose, Uuid),
        secret: &[u8],
        now: Timestamp,
    ) -> Result<Vec<u8>, Error> {
        let key = self.keys.last().ok_or(SealError::UnknownKey)?;
        // Another process may have begun with another key since this one started.
        self.require_all(repo::note_in_tx(store, tx, &hex(&key.name), now).await?)?;
        Ok(key.seal(purpose, row, secret)?)
    }

    /// The secret of a row.
    pub(crate) fn open(
        &self,
        purpose: Purpose,
        row: Uuid,
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let (format, rest) = sealed.split_first().ok_or(SealError::Broken)?;
        let (name, rest) = rest.split_at_checked(NAME_BYTES).ok_or(SealError::Broken)?;
        if *format != FORMAT {
            return Err(SealError::Broken);
        }
        let key = self.keys.iter().find(|key| key.name == name).ok_or(SealError::UnknownKey)?;
        key.open(purpose, row, rest)
    }

    fn require_all(&self, used: Vec<String>) -> Result<(), KeyFileError> {
        let mine: Vec<String> = self.keys.iter().map(|key| hex(&key.name)).collect();
        let missing: Vec<String> = used.into_iter().filter(|name| !mine.contains(name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(KeyFileError::MissingDataKeys { path: self.path.clone(), names: missing.join(", ") })
    }
}

impl DataKey {
    fn new(secret: &[u8]) -> Result<Self, SealError> {
        let prk = Salt::new(HKDF_SHA256, &[]).extract(secret);
        let mut name = [0; NAME_BYTES];
        derive(&prk, b"finitech/data-key-name", &mut name)?;
        Ok(Self { name, prk })
    }

    fn seal(&self, purpose: Purpose, row: Uuid, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut text = secret.to_vec();
        let key = self.cipher(purpose)?;
        let nonce = key
            .seal_in_place_append_tag(Aad::from(associated(purpose, row)), &mut text)
            .map_err(|_| SealError::Cipher)?;
        Ok([&[FORMAT], self.name.as_slice(), nonce.as_ref(), &text].concat())
    }

    fn open(&self, purpose: Purpose, row: Uuid, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, text) = sealed.split_at_checked(NONCE_BYTES).ok_or(SealError::Broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Broken)?;
        let mut text = text.to_vec();
        let aad = Aad::from(associated(purpose, row));
        let opened = self.cipher(purpose)?.open_in_place(nonce, aad, &mut text);
        Ok(opened.map_err(|_| SealError::Broken)?.to_vec())
    }

    fn cipher(&self, purpose: Purpose) -> Result<RandomizedNonceKey, SealError> {
        let mut key = [0; KEY_BYTES];
        derive(&self.prk, purpose.info(), &mut key)?;
        RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(|_| SealError::Cipher)
    }
}

/// What a sealed secret is bound to.
fn associated(purpose: Purpose, row: Uuid) -> Vec<u8> {
    [purpose.info(), row.as_bytes()].concat()
}

fn derive(prk: &Prk, info: &[u8], output: &mut [u8]) -> Result<(), SealError> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    prk.expand(&[info], Length(output.len()))
        .and_then(|derived| derived.fill(output))
        .map_err(|_| SealError::Cipher)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secrets: &[u8]) -> DataKeys {
        let keys = secrets.iter().map(|byte| DataKey::new(&[*byte; KEY_BYTES]).unwrap()).collect();
        DataKeys { path: PathBuf::new(), keys }
    }

    const ROW: Uuid = Uuid::from_u128(1);

    fn seal(keys: &DataKeys, secret: &[u8]) -> Vec<u8> {
        keys.keys.last().unwrap().seal(Purpose::Totp, ROW, secret).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_for_its_row_alone() {
        let keys = keys(&[1]);
        let sealed = seal(&keys, b"secret");
        assert_ne!(seal(&keys, b"secret"), sealed, "nonces differ");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(keys.open(Purpose::Totp, ROW, &sealed).unwrap(), b"secret");
        let other = keys.open(Purpose::Totp, Uuid::from_u128(2), &sealed);
        assert_eq!(other, Err(SealError::Broken));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let keys = keys(&[1]);
        let sealed = seal(&keys, b"secret");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys.open(Purpose::Totp, ROW, &changed).is_err(), "byte {at}");
            assert!(keys.open(Purpose::Totp, ROW, &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_new_key_seals_and_the_old_ones_still_open() {
        let (old, both) = (keys(&[1]), keys(&[1, 2]));
        let (by_old, by_new) = (seal(&old, b"one"), seal(&both, b"two"));
        assert_eq!(both.open(Purpose::Totp, ROW, &by_old).unwrap(), b"one");
        assert_eq!(both.open(Purpose::Totp, ROW, &by_new).unwrap(), b"two");
        assert_eq!(old.open(Purpose::Totp, ROW, &by_new), Err(SealError::UnknownKey));
        let used = |keys: &DataKeys| keys.keys.iter().map(|key| hex(&key.name)).collect();
        both.require_all(used(&old)).unwrap();
        assert!(matches!(old.require_all(used(&both)), Err(KeyFileError::MissingDataKeys { .. })));
    }
}
