//! The vault through its facade and its routes, on every store.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in helper functions too"
)]

mod concurrency;
mod disclosing;
mod requests;
mod sealed;
mod tokenizing;
mod world;
