//! The journal as it is stored: how rows become accounts and transactions, and the reads.

pub(crate) mod balances;
pub(crate) mod chunk;
pub(crate) mod encode;
pub(crate) mod limits;
pub(crate) mod repo;
pub(crate) mod scan;
pub(crate) mod search;
pub(crate) mod standings;
#[cfg(test)]
mod tests;
