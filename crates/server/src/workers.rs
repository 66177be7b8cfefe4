//! What runs beside the requests: delivering events, releasing holds over time, finishing what dead
//! processes left.

use kernel::{Clock, IdSource};
use ledger::Ledger;
use ports::EventBus;
use std::sync::Arc;
use std::time::Duration;
use store::outbox::{self, EventSource};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;
use wallet::Wallets;

/// How long to sleep when there was nothing to do.
const IDLE: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(5);
const SWEEP_OPERATIONS_MAX: u32 = 100;
const EXPIRE_EVERY: Duration = Duration::from_secs(5);
const EXPIRE_HOLDS_MAX: u32 = 1_000;
/// How long a process keeps the right to deliver a stream without renewing it.
const DELIVERY_LEASE: Duration = Duration::from_secs(30);
const EVENTS_PER_DELIVERY: u32 = 2_000;
/// The cursor's name of the one consumer there is.
const BUS: &str = "event_bus";

/// The running workers.
pub(crate) struct Workers {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Workers {
    pub(crate) fn start(
        sources: Vec<Arc<dyn EventSource>>,
        bus: Arc<dyn EventBus>,
        ledger: Ledger,
        wallets: Wallets,
        clock: Arc<dyn Clock>,
        ids: &dyn IdSource,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for source in sources {
            let delivery =
                Delivery { source, bus: bus.clone(), clock: clock.clone(), holder: ids.next() };
            tasks.spawn(deliver(delivery, stopped.clone()));
        }
        tasks.spawn(expire(ledger, stopped.clone()));
        tasks.spawn(sweep(wallets, stopped));
        Self { stop, tasks }
    }

    /// Lets each worker finish what it is at, and returns when all have.
    pub(crate) async fn shut_down(self) {
        self.stop.send_replace(true);
        self.tasks.join_all().await;
    }
}

struct Delivery {
    source: Arc<dyn EventSource>,
    bus: Arc<dyn EventBus>,
    clock: Arc<dyn Clock>,
    holder: Uuid,
}

async fn deliver(delivery: Delivery, mut stopped: watch::Receiver<bool>) {
    let module = delivery.source.store().module();
    while !*stopped.borrow() {
        match delivery.step().await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(module, %error, "events were not delivered"),
        }
        pause(IDLE, &mut stopped).await;
    }
}

impl Delivery {
    /// Delivers one batch; false if there was nothing to deliver or another process does it.
    async fn step(&self) -> anyhow::Result<bool> {
        let store = self.source.store();
        let now = self.clock.now();
        let cursor = outbox::lease_cursor(store, BUS, self.holder, now, DELIVERY_LEASE).await?;
        let Some(position) = cursor else { return Ok(false) };
        let events = self.source.after(position, EVENTS_PER_DELIVERY).await?;
        let Some(last) = events.last().map(|event| event.position) else { return Ok(false) };
        self.bus.publish(store.module(), &events).await?;
        outbox::advance_cursor(store, BUS, self.holder, last).await?;
        Ok(true)
    }
}

async fn expire(ledger: Ledger, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        match ledger.expire_holds(EXPIRE_HOLDS_MAX).await {
            Ok(0) => {}
            Ok(expired) => {
                tracing::info!(expired, "released holds whose time is over");
                // There may be more.
                if expired == EXPIRE_HOLDS_MAX {
                    continue;
                }
            }
            Err(error) => tracing::warn!(%error, "holds over time were not released"),
        }
        pause(EXPIRE_EVERY, &mut stopped).await;
    }
}

async fn sweep(wallets: Wallets, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        match wallets.finish_abandoned(SWEEP_OPERATIONS_MAX).await {
            Ok(0) => {}
            Ok(finished) => {
                tracing::info!(finished, "finished abandoned wallet operations");
                // There may be more.
                if finished == SWEEP_OPERATIONS_MAX {
                    continue;
                }
            }
            Err(error) => tracing::warn!(%error, "abandoned wallet operations were not finished"),
        }
        pause(SWEEP_EVERY, &mut stopped).await;
    }
}

/// Sleeps, but no longer than until the signal to stop.
async fn pause(duration: Duration, stopped: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(duration) => {}
        _ = stopped.changed() => {}
    }
}
