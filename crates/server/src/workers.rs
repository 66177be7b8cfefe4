//! What runs beside the requests: delivering events, signing checkpoints, releasing holds over time,
//! finishing what dead processes left, writing down what was refused.

use identity::Identity;
use kernel::{Clock, IdSource};
use ledger::{CheckpointPolicy, Ledger};
use ports::EventBus;
use std::sync::Arc;
use std::time::{Duration, Instant};
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
const WRITE_REFUSALS_EVERY: Duration = Duration::from_secs(5);
const LOOK_FOR_CHECKPOINT_EVERY: Duration = Duration::from_secs(5);
/// How long a process keeps the right to deliver a stream without renewing it.
const DELIVERY_LEASE: Duration = Duration::from_secs(30);
/// How long it relies on that without asking again; the rest is for clocks that differ.
const LEASE_KNOWN: Duration = Duration::from_secs(10);
/// How often to write down what was delivered: not for each batch, which would compete with the ledger
/// for its one writer.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How long to wait for more after something was written.
const GATHER: Duration = Duration::from_millis(20);
const EVENTS_PER_DELIVERY: u32 = 2_000;
/// The cursor's name of the one consumer there is.
const BUS: &str = "event_bus";

/// Whose work it is, beside delivering events.
pub(crate) struct Modules {
    pub(crate) identity: Identity,
    pub(crate) ledger: Ledger,
    pub(crate) wallets: Wallets,
}

/// The running workers.
pub(crate) struct Workers {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Workers {
    pub(crate) fn start(
        sources: Vec<Arc<dyn EventSource>>,
        bus: Arc<dyn EventBus>,
        modules: Modules,
        checkpoints: CheckpointPolicy,
        clock: Arc<dyn Clock>,
        ids: &dyn IdSource,
    ) -> Self {
        let Modules { identity, ledger, wallets } = modules;
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for source in sources {
            let (bus, clock) = (bus.clone(), clock.clone());
            let delivery = Delivery { source, bus, clock, holder: ids.next(), cursor: None };
            tasks.spawn(deliver(delivery, stopped.clone()));
        }
        tasks.spawn(sign(ledger.clone(), checkpoints, stopped.clone()));
        tasks.spawn(expire(ledger, stopped.clone()));
        tasks.spawn(sweep(wallets, stopped.clone()));
        tasks.spawn(write_refusals(identity, stopped));
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
    cursor: Option<Cursor>,
}

/// Where a process stands that delivers a stream.
#[derive(Clone, Copy)]
struct Cursor {
    /// Up to where events are delivered.
    position: i64,
    /// Up to where the database knows that. Whoever takes over delivers the rest once more.
    saved: i64,
    /// When the database was last asked: by a clock that does not jump.
    saved_at: Instant,
}

async fn deliver(mut delivery: Delivery, mut stopped: watch::Receiver<bool>) {
    let module = delivery.source.store().module();
    let mut progress = delivery.source.progress();
    while !*stopped.borrow() {
        match delivery.step().await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                delivery.cursor = None;
                tracing::warn!(module, %error, "events were not delivered");
            }
        }
        match &mut progress {
            // While another process delivers, there is no hurry to ask again.
            Some(progress) if delivery.cursor.is_some() => {
                tokio::select! {
                    () = pause(IDLE, &mut stopped) => {}
                    // The engine may end before this does.
                    Ok(()) = progress.changed() => pause(GATHER, &mut stopped).await,
                }
            }
            _ => pause(IDLE, &mut stopped).await,
        }
    }
    if let Err(error) = delivery.save().await {
        tracing::warn!(module, %error, "what was delivered last will be delivered again");
    }
}

impl Delivery {
    /// Delivers one batch; false if there was nothing to deliver or another process does it.
    async fn step(&mut self) -> anyhow::Result<bool> {
        let Some(cursor) = self.leased().await? else { return Ok(false) };
        let events = self.source.after(cursor.position, EVENTS_PER_DELIVERY).await?;
        let last = events.last().map(|event| event.position);
        if let Some(position) = last {
            self.bus.publish(self.source.store().module(), &events).await?;
            self.cursor = Some(Cursor { position, ..cursor });
        }
        if cursor.saved_at.elapsed() >= SAVE_EVERY {
            self.save().await?;
        }
        Ok(last.is_some())
    }

    async fn leased(&mut self) -> anyhow::Result<Option<Cursor>> {
        if self.cursor.is_none_or(|cursor| cursor.saved_at.elapsed() >= LEASE_KNOWN) {
            let (saved_at, now) = (Instant::now(), self.clock.now());
            let store = self.source.store();
            let leased = outbox::lease_cursor(store, BUS, self.holder, now, DELIVERY_LEASE).await?;
            self.cursor = leased.map(|position| Cursor { position, saved: position, saved_at });
        }
        Ok(self.cursor)
    }

    /// Writes down what is delivered, and forgets the cursor if another process has it by now.
    async fn save(&mut self) -> anyhow::Result<()> {
        let Some(cursor) = self.cursor.filter(|cursor| cursor.position > cursor.saved) else {
            return Ok(());
        };
        let (saved_at, until) = (Instant::now(), self.clock.now().plus(DELIVERY_LEASE));
        let (store, position) = (self.source.store(), cursor.position);
        let still = outbox::advance_cursor(store, BUS, self.holder, position, until).await?;
        self.cursor = still.then_some(Cursor { position, saved: position, saved_at });
        Ok(())
    }
}

async fn sign(ledger: Ledger, policy: CheckpointPolicy, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        if let Err(error) = ledger.sign_checkpoint(policy).await {
            tracing::warn!(%error, "no checkpoint of the ledger was signed");
        }
        pause(LOOK_FOR_CHECKPOINT_EVERY, &mut stopped).await;
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

async fn write_refusals(identity: Identity, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        pause(WRITE_REFUSALS_EVERY, &mut stopped).await;
        if let Err(error) = identity.write_refusals().await {
            tracing::warn!(%error, "refused requests are not in the audit trail yet");
        }
    }
    if let Err(error) = identity.write_all_refusals().await {
        tracing::error!(%error, "the last refused requests are not in the audit trail");
    }
}

/// Sleeps, but no longer than until the signal to stop.
async fn pause(duration: Duration, stopped: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(duration) => {}
        _ = stopped.changed() => {}
    }
}
