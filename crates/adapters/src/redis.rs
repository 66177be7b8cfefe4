//! Requests counted in Redis, where all processes count together.

use async_trait::async_trait;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, Script};
use secrecy::{ExposeSecret, SecretString};
use std::fmt::Write as _;
use std::time::Duration;
use web::{Count, Counted, SharedCounter, SharedCounterError};

/// Counts in windows that a script keeps: whatever many processes ask at once, each request counts once.
pub struct RedisCounter {
    connection: ConnectionManager,
    script: Script,
}

/// Why there is no such counter.
#[derive(Debug, thiserror::Error)]
pub enum RedisCounterError {
    /// Without the address, which may hold a password.
    #[error("not an address such as redis://redis.example.com:6379/0 or rediss://…, with TLS")]
    Address,
    /// What is needed to connect could not be made.
    #[error("the client of Redis could not be made")]
    Client(#[source] RedisError),
}

/// A window is a key that Redis forgets when the window ends; a key that lost its end gets one.
const SCRIPT: &str = r"
local answers = {}
for place, key in ipairs(KEYS) do
    local requests = redis.call('INCR', key)
    local left = redis.call('PTTL', key)
    if left < 0 then
        left = tonumber(ARGV[place])
        redis.call('PEXPIRE', key, left)
    end
    table.insert(answers, {requests, left})
end
return answers";

/// What all keys begin with.
const PREFIX: &str = "finitech:rate";
/// Requests wait for this, so whoever is slower than that is as good as away.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(100);
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(250);

impl RedisCounter {
    /// A counter in the database at `redis://` or, with TLS, `rediss://`, whether it answers yet or not. Has to
    /// be made inside a runtime.
    pub fn try_new(url: &SecretString) -> Result<Self, RedisCounterError> {
        let client = Client::open(url.expose_secret()).map_err(|_| RedisCounterError::Address)?;
        // Whoever asks decides when it is worth asking again.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let connection = ConnectionManager::new_lazy_with_config(client, config)
            .map_err(RedisCounterError::Client)?;
        Ok(Self { connection, script: Script::new(SCRIPT) })
    }
}

#[async_trait]
impl SharedCounter for RedisCounter {
    async fn count(&self, windows: &[Counted]) -> Result<Vec<Count>, SharedCounterError> {
        let mut script = self.script.prepare_invoke();
        for window in windows {
            let length = u64::try_from(window.window.as_millis()).unwrap_or(u64::MAX);
            script.key(key(window)).arg(length);
        }
        let mut connection = self.connection.clone();
        let answers: Vec<(u32, u64)> = script
            .invoke_async(&mut connection)
            .await
            .map_err(|error| SharedCounterError(error.into()))?;
        let count = |(requests, left)| Count { requests, left: Duration::from_millis(left) };
        Ok(answers.into_iter().map(count).collect())
    }
}

fn key(counted: &Counted) -> String {
    let mut key = format!("{PREFIX}:{}:", counted.limit);
    for byte in counted.caller {
        // Writing to a string cannot fail.
        write!(key, "{byte:02x}").unwrap_or_default();
    }
    key
}
