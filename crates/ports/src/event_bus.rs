//! Where a module's outbox is delivered to.

use async_trait::async_trait;
use kernel::Event;

/// A message broker or the like. Delivery is at least once, so a bus may see an event again.
#[async_trait]
pub trait EventBus: Send + Sync {
    /// Hands over events of one module, in order. Returning `Ok` means that all of them are safe; on an
    /// error the same events come again.
    async fn publish(&self, module: &str, events: &[Event]) -> Result<(), EventBusError>;
}

/// The bus did not take the events; they stay in the outbox.
#[derive(Debug, thiserror::Error)]
#[error("the event bus did not take the events: {0}")]
pub struct EventBusError(pub String);

/// For installations without a broker: writes each event to the log at debug level.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoggingEventBus;

#[async_trait]
impl EventBus for LoggingEventBus {
    async fn publish(&self, module: &str, events: &[Event]) -> Result<(), EventBusError> {
        for event in events {
            tracing::debug!(
                module,
                position = event.position,
                event_type = event.event_type,
                aggregate_id = %event.aggregate_id,
                "event"
            );
        }
        Ok(())
    }
}
