//! Clients that move money and read, at random, and write down what they asked and were answered.

mod caller;
mod client;
pub(crate) mod codec;

pub(crate) use caller::{Asked, Caller, Fleet};
pub(crate) use client::{Client, Known, Notes};
