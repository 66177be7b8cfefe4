//! The wallet through its public facade and routes, with the real ledger and the real user directory, on
//! every store.

mod concurrency;
mod crashes;
mod events;
mod faults;
mod history;
mod idempotency;
mod late_postings;
mod moving_money;
mod refusals;
mod requests;
mod schedules;
mod sweeping;
mod wallets;
mod world;
