//! The program as its users meet it: the real binary, over HTTP, on every store.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that fails says where, overflow fails it, and the server's log is shown with it"
)]

mod authorisation;
mod authorisation_matrix;
mod breaches;
mod browser;
mod concurrency;
mod confidential;
mod crash;
mod hsm;
mod https;
mod ledger_trail;
mod main_job;
mod openapi;
mod passkeys;
mod protection;
mod refusals;
mod secrets;
mod shared_limits;
mod sms;
mod startup;
mod support;
mod tls;
