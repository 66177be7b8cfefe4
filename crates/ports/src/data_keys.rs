//! The keys that seal what must be read again.

use async_trait::async_trait;
use secrecy::SecretBox;

/// A key of 256 bits that others are derived from. Does not print, and is wiped from memory.
pub type DataKey = SecretBox<[u8; 32]>;

/// Where the data keys come from: a file, a mounted secret, or whatever keeps keys for others. Every
/// process on one database must be given the same.
#[async_trait]
pub trait DataKeySource: Send + Sync {
    /// What an operator calls the place, for messages: a path, say.
    fn name(&self) -> String;

    /// All keys, oldest first. The last one seals, each of them opens.
    async fn load(&self) -> Result<Vec<DataKey>, DataKeysError>;
}

/// The data keys could not be had.
#[derive(Debug, thiserror::Error)]
#[error("the data keys cannot be read")]
pub struct DataKeysError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
