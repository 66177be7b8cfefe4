//! The wallet's routes, for customers.

mod bodies;
mod problems;
mod routes;

pub(crate) use routes::router;
