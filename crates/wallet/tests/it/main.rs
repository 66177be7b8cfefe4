//! The wallet through its public facade and routes, with the real ledger and the real user directory, on
//! every store.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in helper functions too"
)]

mod concurrency;
mod crashes;
mod events;
mod faults;
mod history;
mod idempotency;
mod late_postings;
mod leaving;
mod moving_money;
mod refusals;
mod requests;
mod schedules;
mod step_up;
mod sweeping;
mod wallets;
mod world;
