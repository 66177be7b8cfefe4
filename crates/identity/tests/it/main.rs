//! Identity through its facade and its routes, on every store.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in helper functions too"
)]

mod accounts;
mod api_clients;
mod audit;
mod authenticator;
mod claims;
mod contact_changes;
mod custom_roles;
mod lock_out;
mod mfa;
mod new_passwords;
mod passkeys;
mod processes;
mod refusals;
mod registering;
mod resets;
mod roles;
mod rotation;
mod sealed;
mod second_factor_reset;
mod sessions;
mod signing_in;
mod staff_actions;
mod staff_second_factor;
mod step_up;
mod support;
mod tokens;
mod verification;
