//! The vault's routes. A token stands in the body, never in an address: it looks like a card number, so
//! somebody will paste one in its place, and addresses are logged.

mod bodies;
mod problems;
mod routes;

pub(crate) use routes::router;
