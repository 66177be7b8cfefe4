//! The accounts that transfers go between.

use crate::database::Place;
use crate::reads::History;
use kernel::{Currency, IdSource as _, Money, UserId};
use ledger::{CheckpointSigner, EngineConfig, Ledger};
use ledger_api::{
    AccountId, Constraint, LEGS_MAX, Ledger as _, Leg, NewAccount, NewTransaction, Side,
    TransactionId,
};
use ports::{SystemClock, SystemIds};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;
use tokio::task::JoinSet;
use uuid::Uuid;

/// What transfers are called in the journal; about as long as the names the product uses.
pub(crate) const KIND: &str = "bench.transfer";

/// Who asks for all transfers: routes always name somebody.
const INITIATOR: UserId = UserId(Uuid::from_u128(42));

/// What each account begins with: far more than it can lose while it is measured.
const FUNDS: i64 = 100_000_000_000;

/// The engine as it is measured: large groups, a queue that holds the next one.
pub(crate) const ENGINE: EngineConfig =
    EngineConfig { queue_max: 16_384, group_max: 8_000, rows_at_once: 64 };

/// How many accounts are opened at once.
const AT_ONCE: usize = 8_000;

pub(crate) fn start_ledger(store: &Store, config: EngineConfig) -> anyhow::Result<Ledger> {
    let signer = Arc::new(CheckpointSigner::try_new("bench/ledger", &[7; 32])?);
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(SystemIds));
    Ok(Ledger::init(store.clone(), config, signer, clock, ids)?)
}

/// Makes the accounts in an empty ledger, with funds. None may go below zero.
pub(crate) async fn populate(place: &Place, accounts: usize) -> anyhow::Result<Arc<[Uuid]>> {
    let store = place.ledger_store().await?;
    let ledger = start_ledger(&store, ENGINE)?;
    let treasury = SystemIds.next();
    open(&ledger, &[treasury], Side::Debit, Constraint::Unlimited).await?;
    let ids: Vec<Uuid> = (0..accounts).map(|_| SystemIds.next()).collect();
    for part in ids.chunks(AT_ONCE) {
        open(&ledger, part, Side::Credit, Constraint::NonNegative).await?;
    }
    for part in ids.chunks(LEGS_MAX - 1) {
        fund(&ledger, treasury, part).await?;
    }
    ledger.shut_down().await;
    store.close().await?;
    Ok(ids.into())
}

/// Gives one of the accounts a long history.
pub(crate) async fn with_history(place: &Place, accounts: &[Uuid]) -> anyhow::Result<History> {
    let store = place.ledger_store().await?;
    let ledger = start_ledger(&store, ENGINE)?;
    let history = History::make(&ledger, accounts).await?;
    place.mark_delivered().await?;
    ledger.shut_down().await;
    store.close().await?;
    Ok(history)
}

async fn open(
    ledger: &Ledger,
    ids: &[Uuid],
    normal_side: Side,
    constraint: Constraint,
) -> anyhow::Result<()> {
    let mut opening = JoinSet::new();
    for &id in ids {
        let (ledger, name) = (ledger.clone(), format!("Bench {id}"));
        let account = NewAccount {
            id: AccountId(id),
            name,
            currency: Currency::MAD,
            normal_side,
            constraint,
        };
        opening.spawn(async move { ledger.open_account(account).await });
    }
    while let Some(opened) = opening.join_next().await {
        opened??;
    }
    Ok(())
}

async fn fund(ledger: &Ledger, treasury: Uuid, ids: &[Uuid]) -> anyhow::Result<()> {
    let leg = |id: Uuid, direction, minor_units| Leg {
        account_id: AccountId(id),
        direction,
        amount: Money::new(minor_units, Currency::MAD),
    };
    let total = FUNDS * i64::try_from(ids.len())?;
    let mut legs = vec![leg(treasury, Side::Debit, total)];
    legs.extend(ids.iter().map(|&id| leg(id, Side::Credit, FUNDS)));
    ledger.post(transaction("bench.funding", legs)).await?;
    Ok(())
}

pub(crate) fn transfer(from: Uuid, to: Uuid, minor_units: i64) -> NewTransaction {
    let amount = Money::new(minor_units, Currency::MAD);
    let leg = |id: Uuid, direction| Leg { account_id: AccountId(id), direction, amount };
    transaction(KIND, vec![leg(from, Side::Debit), leg(to, Side::Credit)])
}

fn transaction(kind: &str, legs: Vec<Leg>) -> NewTransaction {
    NewTransaction {
        id: TransactionId(SystemIds.next()),
        kind: kind.to_owned(),
        description: None,
        reference: None,
        effective_at: None,
        metadata: BTreeMap::new(),
        legs,
        not_after: None,
        initiated_by: Some(INITIATOR),
    }
}

/// Numbers that look random, made with next to no work (the 64-bit variant of `xorshift*`).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: usize) -> Self {
        Self((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize % sides
    }

    /// Two different places among `sides`.
    pub(crate) fn pair(&mut self, sides: usize) -> (usize, usize) {
        let one = self.roll(sides);
        let other = self.roll(sides - 1);
        (one, if other >= one { other + 1 } else { other })
    }
}
