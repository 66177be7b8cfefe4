//! The ledger through its public facade, on every store.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that fails says where, and overflow fails it"
)]

mod batches;
mod behind;
mod concurrency;
mod database;
mod engine;
mod events;
mod history;
mod holds;
mod http;
mod http_batches;
mod http_holds;
mod http_initiators;
mod http_limits;
mod http_preferences;
mod http_proofs;
mod http_refusals;
mod http_reversals;
mod http_statuses;
mod http_trail;
mod limits;
mod migration;
mod posting;
mod reversals;
mod statuses;
mod verify;
mod world;
