//! PBKDF2-HMAC-SHA256 hashes (RFC 8018 section 5.2) of users who came from another system. They are
//! only read: at the first sign-in an Argon2id hash takes their place.

use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, verify};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use std::num::NonZeroU32;

/// What such a hash begins with.
const PREFIX: &str = "$pbkdf2-sha256$";
/// 16 bytes of hash are what nobody guesses; more than 64 nobody makes.
const HASH_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

const SHA256_BYTES: usize = 32;

/// A hash as `$pbkdf2-sha256$i=600000,l=32$salt$hash` (the PHC format) or
/// `$pbkdf2-sha256$v=1$i=600000$salt$hash`, salt and hash in either base64, padded or not.
pub(super) struct Pbkdf2Hash {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Pbkdf2Hash {
    /// Whether this is meant to be such a hash.
    pub(super) fn is_one(stored: &str) -> bool {
        stored.starts_with(PREFIX)
    }

    /// `None` if it cannot be read.
    pub(super) fn parse(stored: &str) -> Option<Self> {
        let mut parts: Vec<&str> = stored.strip_prefix(PREFIX)?.split('$').collect();
        if parts.first() == Some(&"v=1") {
            parts.remove(0);
        }
        let [params, salt, hash] = parts.as_slice() else {
            return None;
        };
        let iterations = params.split(',').find_map(|one| one.strip_prefix("i="))?;
        let hash = decode(hash).filter(|hash| HASH_BYTES.contains(&hash.len()))?;
        Some(Self { iterations: iterations.parse().ok()?, salt: decode(salt)?, hash })
    }

    /// How often SHA-256 is keyed for it, in units of what a hash of 32 bytes takes.
    pub(super) fn rounds(&self) -> u32 {
        let blocks = self.hash.len().div_ceil(SHA256_BYTES);
        self.iterations.get().saturating_mul(u32::try_from(blocks).unwrap_or(u32::MAX))
    }

    /// Compares in constant time.
    pub(super) fn is_of(&self, password: &SecretString) -> bool {
        let password = password.expose_secret().as_bytes();
        verify(PBKDF2_HMAC_SHA256, self.iterations, &self.salt, password, &self.hash).is_ok()
    }
}

fn decode(base64: &str) -> Option<Vec<u8>> {
    let standard = base64.trim_end_matches('=').replace('-', "+").replace('_', "/");
    STANDARD_NO_PAD.decode(standard).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHC: &str = "$pbkdf2-sha256$i=600000,l=32$AAECAwQFBgcICQoLDA0ODw\
                       $v1URzFrw0fnFmLelrowoVapIYISI/uWkGfwsxKWt9aA";
    const OTHER: &str = "$pbkdf2-sha256$v=1$i=1000$__79_Pv6-fj39vX08_Lx8A==\
                         $2OSBbFr763jcw3s8oie-FutmVN-Wma_pFDpUeRw1TWM=";

    #[test]
    fn the_hash_is_that_of_rfc_7914_section_11() {
        let salt = STANDARD_NO_PAD.encode("salt");
        let hash = [
            0x55, 0xac, 0x04, 0x6e, 0x56, 0xe3, 0x08, 0x9f, 0xec, 0x16, 0x91, 0xc2, 0x25, 0x44,
            0xb6, 0x05, 0xf9, 0x41, 0x85, 0x21, 0x6d, 0xde, 0x04, 0x65, 0xe6, 0x8b, 0x9d, 0x57,
            0xc2, 0x0d, 0xac, 0xbc, 0x49, 0xca, 0x9c, 0xcc, 0xf1, 0x79, 0xb6, 0x45, 0x99, 0x16,
            0x64, 0xb3, 0x9d, 0x77, 0xef, 0x31, 0x7c, 0x71, 0xb8, 0x45, 0xb1, 0xe3, 0x0b, 0xd5,
            0x09, 0x11, 0x20, 0x41, 0xd3, 0xa1, 0x97, 0x83,
        ];
        let stored = format!("{PREFIX}i=1${salt}${}", STANDARD_NO_PAD.encode(hash));
        let parsed = Pbkdf2Hash::parse(&stored).unwrap();
        assert!(parsed.is_of(&"passwd".into()));
        assert!(!parsed.is_of(&"passwe".into()));
    }

    #[test]
    fn both_spellings_are_read() {
        for stored in [PHC, OTHER] {
            assert!(Pbkdf2Hash::is_one(stored));
            assert!(Pbkdf2Hash::parse(stored).unwrap().is_of(&"demo-Finitech-1".into()));
        }
        assert!(!Pbkdf2Hash::is_one("$argon2id$v=19$m=65536,t=3,p=4$salt$hash"));
    }

    #[test]
    fn what_is_broken_is_not_read() {
        for broken in [
            "$pbkdf2-sha256$",
            "$pbkdf2-sha256$i=0$AAEC$v1URzFrw0fnFmLelrowoVapIYISI",
            "$pbkdf2-sha256$l=32$AAEC$v1URzFrw0fnFmLelrowoVapIYISI",
            "$pbkdf2-sha256$i=1000$AA?C$v1URzFrw0fnFmLelrowoVapIYISI",
            "$pbkdf2-sha256$i=1000$AAEC$v1UR",
            "$pbkdf2-sha256$i=1000$AAEC",
            "$pbkdf2-sha256$v=2$i=1000$AAEC$v1URzFrw0fnFmLelrowoVapIYISI",
        ] {
            assert!(Pbkdf2Hash::parse(broken).is_none(), "{broken}");
        }
    }
}
