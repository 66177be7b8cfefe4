//! Reading the ledger in every way, and posting to it in a stream, on every store.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that fails says where, and overflow fails it"
)]

mod balances;
mod holds;
mod http;
mod search;
mod statements;
mod streams;
mod world;
