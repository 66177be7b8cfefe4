//! Checking proofs with nothing but the keys of the ledger: no database, no network.

use super::checkpoint::{Checkpoint, VerifierKey, hash_from};
use super::record;
use super::tree::{Hash, is_consistent, root_of_inclusion};
use crate::http::proof_bodies::{ConsistencyBody, ProofBody};
use serde::Deserialize;

/// What a proof shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proven {
    /// A transaction is part of the history.
    Inclusion {
        /// The transaction's id.
        transaction: uuid::Uuid,
        /// Its number in the journal.
        sequence: i64,
        /// How many records the checkpoint covers.
        tree_size: u64,
        /// The ledger that signed it.
        origin: String,
    },
    /// Two checkpoints are of one history.
    Consistency {
        /// How many records the earlier one covers.
        from: u64,
        /// How many the later one covers.
        to: u64,
        /// The ledger that signed them.
        origin: String,
    },
}

/// Why a proof shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It is not one.
    #[error("this is neither a proof of a transaction nor of two checkpoints")]
    NotAProof(#[source] serde_json::Error),
    /// A hash in it is not 32 bytes in base64.
    #[error("a hash in it is not 32 bytes in base64")]
    NotAHash,
    /// No key that was given signed a checkpoint in it.
    #[error("no key that was given signed its checkpoint")]
    NotSigned,
    /// The transaction is another than the one that was committed, or was never committed.
    #[error(
        "the transaction does not lead to the root of the checkpoint: it is not part of that history"
    )]
    NotIncluded,
    /// The later checkpoint is not of the history of the earlier one.
    #[error("the two checkpoints are not of one history")]
    NotConsistent,
}

/// Checks a proof as the routes give them: of a transaction in a checkpoint, or of two checkpoints. One of
/// the keys must have signed the checkpoints.
pub fn verify_proof(json: &str, keys: &[VerifierKey]) -> Result<Proven, ProofError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Any {
        Inclusion(Box<ProofBody>),
        Consistency(ConsistencyBody),
    }
    match serde_json::from_str(json).map_err(ProofError::NotAProof)? {
        Any::Inclusion(proof) => verify_inclusion(*proof, keys),
        Any::Consistency(proof) => verify_consistency(&proof, keys),
    }
}

fn verify_inclusion(proof: ProofBody, keys: &[VerifierKey]) -> Result<Proven, ProofError> {
    let path = hashes(&proof.path)?;
    let checkpoint = Checkpoint::opened(&proof.checkpoint, keys).ok_or(ProofError::NotSigned)?;
    let transaction = proof.transaction.into_transaction();
    let index = transaction.sequence.checked_sub(1).and_then(|index| u64::try_from(index).ok());
    let leaf = record::transaction(&transaction);
    let root = index.and_then(|at| root_of_inclusion(at, checkpoint.size, leaf, &path));
    if root != Some(checkpoint.root) {
        return Err(ProofError::NotIncluded);
    }
    Ok(Proven::Inclusion {
        transaction: transaction.id.0,
        sequence: transaction.sequence,
        tree_size: checkpoint.size,
        origin: checkpoint.origin,
    })
}

fn verify_consistency(proof: &ConsistencyBody, keys: &[VerifierKey]) -> Result<Proven, ProofError> {
    let path = hashes(&proof.path)?;
    let opened = |note: &str| Checkpoint::opened(note, keys).ok_or(ProofError::NotSigned);
    let (from, to) = (opened(&proof.from)?, opened(&proof.to)?);
    let is_one = from.origin == to.origin
        && is_consistent((from.size, from.root), (to.size, to.root), &path);
    if !is_one {
        return Err(ProofError::NotConsistent);
    }
    Ok(Proven::Consistency { from: from.size, to: to.size, origin: to.origin })
}

fn hashes(texts: &[String]) -> Result<Vec<Hash>, ProofError> {
    texts.iter().map(|text| hash_from(text)).collect::<Option<_>>().ok_or(ProofError::NotAHash)
}
