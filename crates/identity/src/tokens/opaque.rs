use super::sha256;
use crate::Error;
use crate::passwords::HashingError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

/// A token that says nothing, such as a refresh token: 32 random bytes in base64url. Only its digest
/// is stored, so that a copy of the database lets nobody in; it needs no salt because nobody guesses
/// 256 bits.
pub(crate) struct OpaqueToken(SecretString);

const RANDOM_BYTES: usize = 32;

impl OpaqueToken {
    /// A new one.
    pub(crate) fn generate() -> Result<Self, Error> {
        let mut bytes = [0; RANDOM_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| HashingError::Randomness)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    /// What is stored of it.
    pub(crate) fn hash(&self) -> Vec<u8> {
        Self::hash_of(&self.0)
    }

    /// What would be stored of a token that somebody presents.
    pub(crate) fn hash_of(token: &SecretString) -> Vec<u8> {
        sha256(token.expose_secret().as_bytes()).to_vec()
    }

    pub(crate) fn into_secret(self) -> SecretString {
        self.0
    }
}
