//! The JSON shapes of checkpoints and proofs.

use super::bodies::TransactionBody;
use crate::history::repo::CheckpointRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A signed head of the history.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckpointBody {
    /// How many records it covers: all up to the one with this number.
    tree_size: i64,
    /// The signed note, which says everything there is to it (docs/LEDGER-PROOFS.md).
    note: String,
}

impl From<CheckpointRow> for CheckpointBody {
    fn from(row: CheckpointRow) -> Self {
        Self { tree_size: row.tree_size, note: row.note }
    }
}

/// A key that checkpoints are checked with.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VerifierKeyBody {
    /// `<name of the ledger>+<key id>+<key>`.
    #[schema(example = "finitech+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")]
    pub(crate) verifier_key: String,
}

/// What shows that a transaction is part of the history. Hashes are SHA-256 in base64.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ProofBody {
    pub(crate) transaction: TransactionBody,
    /// The leaf of the tree that the transaction is: its `sequence` less one.
    pub(crate) leaf_index: i64,
    /// How many records the checkpoint covers.
    pub(crate) tree_size: i64,
    /// The hash that the transaction's canonical bytes lead to.
    pub(crate) leaf_hash: String,
    /// The hashes beside the way from the leaf to the root, from below (RFC 9162 section 2.1.3).
    pub(crate) path: Vec<String>,
    /// The signed note with the root.
    pub(crate) checkpoint: String,
}

/// What shows that two checkpoints are of one history. Hashes are SHA-256 in base64.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ConsistencyBody {
    /// The note of the earlier checkpoint.
    pub(crate) from: String,
    /// The note of the later checkpoint.
    pub(crate) to: String,
    /// The hashes that lead from one root to the other (RFC 9162 section 2.1.4).
    pub(crate) path: Vec<String>,
}
