//! The ledger's routes, for staff and API clients.

pub(crate) mod bodies;
mod holds;
mod limits;
mod postings;
mod problems;
mod routes;
mod statuses;

pub(crate) use routes::router;
