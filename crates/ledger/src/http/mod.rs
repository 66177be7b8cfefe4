//! The ledger's routes, for staff and API clients.

pub(crate) mod bodies;
mod problems;
mod routes;

pub(crate) use routes::router;
