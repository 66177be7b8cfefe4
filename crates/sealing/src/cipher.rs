//! What one data key does: HKDF-SHA256 (RFC 5869) derives a key of use for each purpose, AES-256-GCM
//! (NIST SP 800-38D) seals with it.

use super::{Purpose, SealError};
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use uuid::Uuid;

/// The first byte of everything sealed in this way.
const FORMAT: u8 = 1;
const NAME_BYTES: usize = 8;
const NONCE_BYTES: usize = 12;
/// Of a data key, and of those derived from it.
pub(super) const KEY_BYTES: usize = 32;
/// What is sealed begins with the format and the key's name. In base64 too that is a whole number of
/// characters.
pub(super) const HEADER_BYTES: usize = 1 + NAME_BYTES;

/// A data key, ready for use.
pub(super) struct SealingKey {
    name: [u8; NAME_BYTES],
    prk: Prk,
}

impl SealingKey {
    pub(super) fn new(secret: &[u8]) -> Result<Self, SealError> {
        let prk = extract(secret);
        let mut name = [0; NAME_BYTES];
        derive(&prk, b"finitech/data-key-name", &mut name)?;
        Ok(Self { name, prk })
    }

    /// The key's name, in hexadecimal digits. It tells nothing about the key.
    pub(super) fn name(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.name)
    }

    /// How everything begins that this key sealed.
    pub(super) fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [FORMAT; HEADER_BYTES];
        header[1..].copy_from_slice(&self.name);
        header
    }

    /// Format, name of the key, nonce, ciphertext, tag.
    pub(super) fn seal(
        &self,
        purpose: Purpose,
        row: Uuid,
        secret: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let mut text = secret.to_vec();
        let nonce = cipher(&self.key(purpose)?)?
            .seal_in_place_append_tag(Aad::from(associated(purpose, row)), &mut text)
            .map_err(|_| SealError::Cipher)?;
        Ok([self.header().as_slice(), nonce.as_ref(), &text].concat())
    }

    pub(super) fn open(
        &self,
        purpose: Purpose,
        row: Uuid,
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let sealed = sealed.strip_prefix(&self.header()).ok_or(SealError::Broken)?;
        open_with(&self.key(purpose)?, &associated(purpose, row), sealed)
    }

    fn key(&self, purpose: Purpose) -> Result<[u8; KEY_BYTES], SealError> {
        let mut key = [0; KEY_BYTES];
        derive(&self.prk, purpose.0.as_bytes(), &mut key)?;
        Ok(key)
    }
}

fn extract(secret: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, &[]).extract(secret)
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

fn cipher(key: &[u8; KEY_BYTES]) -> Result<RandomizedNonceKey, SealError> {
    RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| SealError::Cipher)
}

/// Opens nonce, ciphertext and tag.
fn open_with(
    key: &[u8; KEY_BYTES],
    associated: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, SealError> {
    let (nonce, text) = sealed.split_at_checked(NONCE_BYTES).ok_or(SealError::Broken)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Broken)?;
    let mut text = text.to_vec();
    let opened = cipher(key)?.open_in_place(nonce, Aad::from(associated), &mut text);
    Ok(opened.map_err(|_| SealError::Broken)?.to_vec())
}

/// What a sealed secret is bound to: the purpose names table and column.
fn associated(purpose: Purpose, row: Uuid) -> Vec<u8> {
    [purpose.0.as_bytes(), row.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    /// RFC 5869 appendix A.3: no salt, as here.
    #[test]
    fn keys_are_derived_as_in_rfc_5869() {
        let prk = extract(&[0x0b; 22]);
        let mut output = [0; 42];
        derive(&prk, &[], &mut output).unwrap();
        let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d\
                        9d201395faa4b61a96c8";
        assert_eq!(output.to_vec(), bytes(expected));
    }

    /// Test case 16 of the specification of GCM that NIST took over, with associated data.
    #[test]
    fn what_others_sealed_with_aes_256_gcm_opens() {
        let key: [u8; KEY_BYTES] =
            bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
                .try_into()
                .unwrap();
        let associated = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let sealed = bytes(
            "cafebabefacedbaddecaf888\
             522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662\
             76fc6ece0f4e1768cddf8853bb2d551b",
        );
        let plain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
        assert_eq!(open_with(&key, &associated, &sealed).unwrap(), bytes(plain));
        assert_eq!(open_with(&key, &associated[1..], &sealed), Err(SealError::Broken));
    }

    const ROW: Uuid = Uuid::from_u128(1);
    const PURPOSE: Purpose = Purpose("finitech/test/one");
    const OTHER: Purpose = Purpose("finitech/test/other");

    #[test]
    fn what_was_sealed_opens_for_its_row_and_column_alone() {
        let key = SealingKey::new(&[1; KEY_BYTES]).unwrap();
        let sealed = key.seal(PURPOSE, ROW, b"secret").unwrap();
        assert_ne!(key.seal(PURPOSE, ROW, b"secret").unwrap(), sealed, "nonces differ");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(key.open(PURPOSE, ROW, &sealed).unwrap(), b"secret");
        let other_row = key.open(PURPOSE, Uuid::from_u128(2), &sealed);
        assert_eq!(other_row, Err(SealError::Broken));
        assert_eq!(key.open(OTHER, ROW, &sealed), Err(SealError::Broken));
        let other_key = SealingKey::new(&[2; KEY_BYTES]).unwrap();
        assert_eq!(other_key.open(PURPOSE, ROW, &sealed), Err(SealError::Broken));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let key = SealingKey::new(&[1; KEY_BYTES]).unwrap();
        let sealed = key.seal(PURPOSE, ROW, b"secret").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(PURPOSE, ROW, &changed).is_err(), "byte {at}");
            assert!(key.open(PURPOSE, ROW, &sealed[..at]).is_err(), "cut at {at}");
        }
    }
}
