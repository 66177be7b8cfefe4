//! Clients that move money and read, at random, and write down what they asked and were answered.

pub(crate) mod books;
mod caller;
mod client;
pub(crate) mod codec;
mod fleet;

pub(crate) use caller::{Asked, Caller};
pub(crate) use client::{Client, Known, Notes};
pub(crate) use fleet::{Fleet, Unanswered};
