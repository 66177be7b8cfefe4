//! What makes the journal tamper-evident: a Merkle tree over its records and a chain over its groups,
//! written with every commit, and what shows to others that they hold.

pub(crate) mod checkpoint;
pub(crate) mod proof;
pub(crate) mod prover;
pub(crate) mod record;
pub(crate) mod repo;
#[cfg(test)]
mod tests;
pub(crate) mod tree;

use store::StoreError;
use tree::{Hash, NO_HASH, Tree};

/// The history as the journal's head has it.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) tree: Tree,
    /// The newest link of the chain of groups.
    pub(crate) link: Hash,
}

impl History {
    /// From the head's columns. A journal that goes beyond its tree is one that [`repo::catch_up`] has not been
    /// run on.
    pub(crate) fn from_columns(
        last_sequence: i64,
        size: i64,
        peaks: Option<&[u8]>,
        link: Option<&[u8]>,
    ) -> Result<Self, StoreError> {
        let inconsistent = |column| StoreError::inconsistent("journal_head", column, 1);
        let tree = Tree::from_parts(size, peaks.unwrap_or_default());
        let tree = tree.filter(|_| size == last_sequence);
        let tree = tree.ok_or_else(|| inconsistent("tree_peaks"))?;
        let link = link.map_or(Ok(NO_HASH), Hash::try_from).map_err(|_| inconsistent("link"))?;
        Ok(Self { tree, link })
    }
}
