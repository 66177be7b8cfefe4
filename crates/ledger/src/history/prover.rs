//! Signing checkpoints of the history, and proving what is in it.

use super::checkpoint::{Checkpoint, CheckpointSigner};
use super::repo::{self, CheckpointRow, Roots};
use super::tree::{
    Hash, consistency_path, inclusion_path, is_consistent, joined, root_of_inclusion, subtrees,
};
use kernel::{Clock, Timestamp};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError};

/// Signs and proves for one ledger.
#[derive(Clone)]
pub(crate) struct Prover {
    store: Store,
    signer: Arc<CheckpointSigner>,
    clock: Arc<dyn Clock>,
}

/// When another checkpoint is due, if anything was committed since the last one.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointPolicy {
    /// After this much time …
    pub every: Duration,
    /// … or this many records.
    pub records: i64,
}

/// How a checkpoint covers a record.
pub(crate) struct Inclusion {
    pub(crate) checkpoint: CheckpointRow,
    pub(crate) path: Vec<Hash>,
}

impl Prover {
    pub(crate) fn new(store: Store, signer: Arc<CheckpointSigner>, clock: Arc<dyn Clock>) -> Self {
        Self { store, signer, clock }
    }

    pub(crate) async fn sign_if_due(&self, policy: CheckpointPolicy) -> Result<(), StoreError> {
        let head = repo::head(&self.store).await?;
        let newest = repo::latest_checkpoint(&self.store, i64::MAX).await?;
        let is_due = newest.is_none_or(|newest| {
            let signed_at = Timestamp::from_micros(newest.created_at);
            head.tree_size.saturating_sub(newest.tree_size) >= policy.records
                || self.clock.now() >= signed_at.plus(policy.every)
        });
        if is_due { self.sign().await.map(drop) } else { Ok(()) }
    }

    /// A checkpoint of all that is committed: the newest one if nothing came after it. `None` while the
    /// journal is empty.
    pub(crate) async fn sign(&self) -> Result<Option<CheckpointRow>, StoreError> {
        let head = repo::head(&self.store).await?;
        let newest = repo::latest_checkpoint(&self.store, head.tree_size).await?;
        // Groups from before the chain have no link; the first posting brings one.
        let link = head.link.as_ref().and_then(|link| Hash::try_from(link.as_slice()).ok());
        let (false, Some(link)) = (head.tree_size == 0, link) else { return Ok(newest) };
        if newest.as_ref().is_some_and(|newest| newest.tree_size == head.tree_size) {
            return Ok(newest);
        }
        let (tree, now) = (head.tree()?, self.clock.now());
        let note = self.signer.note(tree.size(), &tree.root(), &link, now);
        let created_at = now.as_micros();
        let signed = CheckpointRow { tree_size: head.tree_size, note, created_at };
        let key = self.signer.verifier_key().to_string();
        repo::add_checkpoint(&self.store, &signed, &key).await?;
        // Another process may have been faster; then its note is the one.
        repo::latest_checkpoint(&self.store, signed.tree_size).await
    }

    /// Shows that the record with a number is in the newest checkpoint, after signing one if none covers
    /// it. The leaf is the record's. `None` if no checkpoint can cover it yet.
    pub(crate) async fn inclusion(
        &self,
        sequence: i64,
        leaf: Hash,
    ) -> Result<Option<Inclusion>, StoreError> {
        let newest = repo::latest_checkpoint(&self.store, i64::MAX).await?;
        let checkpoint = match newest.filter(|newest| newest.tree_size >= sequence) {
            Some(newest) => Some(newest),
            None => self.sign().await?.filter(|signed| signed.tree_size >= sequence),
        };
        let Some(checkpoint) = checkpoint else { return Ok(None) };
        let (size, index) =
            (checkpoint.tree_size.cast_unsigned(), sequence.saturating_sub(1).cast_unsigned());
        let mut roots = Roots::of(&self.store, size).await?;
        let path = roots_of(&mut roots, inclusion_path(index, size)).await?;
        // What is not what was signed is not vouched for.
        if root_of_inclusion(index, size, leaf, &path) != Some(signed_root(&checkpoint)?) {
            return Err(StoreError::inconsistent("checkpoints", "note", size));
        }
        Ok(Some(Inclusion { checkpoint, path }))
    }

    /// Shows that the history of one checkpoint began as that of another one, which is not larger.
    pub(crate) async fn consistency(
        &self,
        from: &CheckpointRow,
        to: &CheckpointRow,
    ) -> Result<Vec<Hash>, StoreError> {
        let (smaller, size) = (from.tree_size.cast_unsigned(), to.tree_size.cast_unsigned());
        let mut roots = Roots::of(&self.store, size).await?;
        let path = roots_of(&mut roots, consistency_path(smaller, size)).await?;
        let heads = ((smaller, signed_root(from)?), (size, signed_root(to)?));
        if is_consistent(heads.0, heads.1, &path) {
            Ok(path)
        } else {
            Err(StoreError::inconsistent("checkpoints", "note", size))
        }
    }
}

fn signed_root(checkpoint: &CheckpointRow) -> Result<Hash, StoreError> {
    let note = Checkpoint::unverified(&checkpoint.note);
    let unreadable = || StoreError::inconsistent("checkpoints", "note", checkpoint.tree_size);
    Ok(note.ok_or_else(unreadable)?.root)
}

async fn roots_of(roots: &mut Roots, ranges: Vec<Range<u64>>) -> Result<Vec<Hash>, StoreError> {
    let mut path = Vec::new();
    for range in ranges {
        let mut whole = Vec::new();
        for node in subtrees(range) {
            whole.push(roots.root(node).await?);
        }
        path.push(joined(&whole));
    }
    Ok(path)
}
