//! The ledger's routes, for staff and API clients.

mod balances;
mod batch_bodies;
pub(crate) mod bodies;
#[cfg(test)]
mod fuzz;
pub(crate) mod hold_bodies;
mod holds;
mod limits;
mod postings;
mod problems;
pub(crate) mod proof_bodies;
mod proofs;
mod routes;
mod search;
mod statuses;
mod streams;
mod trail;

pub(crate) use routes::router;
