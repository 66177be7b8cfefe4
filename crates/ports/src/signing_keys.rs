//! The private keys that access tokens are signed with.

use async_trait::async_trait;
use std::error::Error;
use std::sync::Arc;

/// A public RSA key: big-endian numbers without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaPublicKey {
    /// The modulus.
    pub modulus: Vec<u8>,
    /// The exponent.
    pub exponent: Vec<u8>,
}

/// How large new RSA keys are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RsaKeySize {
    /// 112 bits of security.
    Bits2048,
    /// 128 bits of security.
    #[default]
    Bits3072,
    /// A little more, for several times the work.
    Bits4096,
}

/// Signs with one private key, which stays where it is.
#[async_trait]
pub trait Signer: Send + Sync {
    /// The public half.
    fn public_key(&self) -> &RsaPublicKey;

    /// The RS256 signature of a message (RFC 7518 section 3.3).
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningKeysError>;
}

/// Where private RSA keys are kept: a folder of files, or a hardware security module. Several processes
/// may share one; processes on different databases may not.
#[async_trait]
pub trait SigningKeySource: Send + Sync {
    /// What an operator calls the place, for messages: a path, say.
    fn name(&self) -> String;

    /// All keys that are there.
    async fn load(&self) -> Result<Vec<Arc<dyn Signer>>, SigningKeysError>;

    /// Makes one more key, if there are no more than `beside`. When this fails there may be one all the
    /// same.
    async fn generate(&self, beside: usize) -> Result<(), SigningKeysError>;

    /// Destroys a key, if it is there.
    async fn destroy(&self, key: &RsaPublicKey) -> Result<(), SigningKeysError>;
}

/// The signing keys cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeysError {
    /// Keys can be used there, but not made or destroyed, by this process.
    #[error("this process cannot write to {place}")]
    ReadOnly {
        /// The place.
        place: String,
    },
    /// The place does not answer, or not as it should.
    #[error("the signing keys cannot be used now")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

impl RsaKeySize {
    /// The size of this many bits; `None` if keys are not made of that size.
    pub fn from_bits(bits: u32) -> Option<Self> {
        match bits {
            2048 => Some(Self::Bits2048),
            3072 => Some(Self::Bits3072),
            4096 => Some(Self::Bits4096),
            _ => None,
        }
    }

    /// In bits.
    pub fn bits(self) -> u32 {
        match self {
            Self::Bits2048 => 2048,
            Self::Bits3072 => 3072,
            Self::Bits4096 => 4096,
        }
    }
}
