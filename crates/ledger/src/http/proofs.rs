//! What shows to others that the ledger's history is one and whole.

use super::problems::problem;
use super::proof_bodies::{CheckpointBody, ConsistencyBody, ProofBody, VerifierKeyBody};
use super::routes::Read;
use super::trail::Books;
use crate::Ledger;
use crate::history::repo::{self, CheckpointRow};
use crate::history::{prover::Inclusion, record};
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kernel::{Cursor, Page};
use ledger_api::{Ledger as _, TransactionId};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use web::{Authorized, Json, ListBody, OpenApiRouter, PageQuery, Path, Problem, Query, routes};

pub(super) fn router() -> OpenApiRouter<Books> {
    OpenApiRouter::new()
        .routes(routes!(prove_transaction))
        .routes(routes!(list_checkpoints))
        .routes(routes!(get_latest_checkpoint))
        .routes(routes!(prove_consistency))
        .routes(routes!(list_checkpoint_keys))
}

/// Prove that a transaction is part of the history
///
/// The transaction, a signed checkpoint that covers it, and what leads from the one to the other. It can be
/// checked without this server, by `finitech ledger verify-proof` or by what you write yourself; keep the
/// checkpoint, or compare it with one that was published. docs/LEDGER-PROOFS.md has the format.
#[utoipa::path(
    get, path = "/api/v1/ledger/transactions/{id}/proof", tag = "Ledger",
    operation_id = "proveLedgerTransaction",
    security(("bearer" = ["ledger:read"])),
    params(("id" = Uuid, Path, description = "The transaction")),
    responses(
        (status = 200, description = "The proof.", body = ProofBody),
        (status = 404, description = "There is no such transaction."),
    ),
)]
async fn prove_transaction(
    State(ledger): State<Ledger>,
    _: Authorized<Read>,
    Path(id): Path<Uuid>,
) -> Result<Json<ProofBody>, Problem> {
    let transaction = ledger.transaction(TransactionId(id)).await.map_err(problem)?;
    let transaction = transaction.ok_or_else(|| Problem::not_found("transaction"))?;
    let leaf = record::transaction(&transaction);
    let inclusion = ledger.0.prover.inclusion(transaction.sequence, leaf).await;
    let inclusion = inclusion.map_err(|error| Problem::store_unavailable(&error))?;
    let Some(Inclusion { checkpoint, path }) = inclusion else {
        let detail = "no checkpoint covers the transaction yet; try again in a minute";
        return Err(Problem::unavailable("no_checkpoint", detail));
    };
    Ok(Json(ProofBody {
        leaf_index: transaction.sequence.saturating_sub(1),
        tree_size: checkpoint.tree_size,
        leaf_hash: STANDARD.encode(leaf),
        path: path.iter().map(|hash| STANDARD.encode(hash)).collect(),
        checkpoint: checkpoint.note,
        transaction: transaction.into(),
    }))
}

/// List the checkpoints, newest first
///
/// Signed heads of the history, for everyone: what is published in several places cannot be taken back.
#[utoipa::path(
    get, path = "/api/v1/ledger/checkpoints", tag = "Ledger", operation_id = "listCheckpoints",
    params(PageQuery),
    responses((status = 200, description = "A page of checkpoints.", body = ListBody<CheckpointBody>)),
)]
async fn list_checkpoints(
    State(ledger): State<Ledger>,
    Query(query): Query<PageQuery>,
) -> Result<Json<ListBody<CheckpointBody>>, Problem> {
    let page = query.into_request()?;
    let before = page.after.map(|cursor| cursor.as_i64()).transpose()?.unwrap_or(i64::MAX);
    let rows =
        repo::checkpoints_before(ledger.0.journal.store(), before, page.limit.rows_to_fetch());
    let rows = rows.await.map_err(|error| Problem::store_unavailable(&error))?;
    let found = Page::from_rows(rows, page.limit, |row| Cursor::from_i64(row.tree_size));
    Ok(Json(found.map(CheckpointBody::from).into()))
}

/// Read the newest checkpoint
#[utoipa::path(
    get, path = "/api/v1/ledger/checkpoints/latest", tag = "Ledger",
    operation_id = "getLatestCheckpoint",
    responses(
        (status = 200, description = "The checkpoint.", body = CheckpointBody),
        (status = 404, description = "Nothing was signed yet."),
    ),
)]
async fn get_latest_checkpoint(
    State(ledger): State<Ledger>,
) -> Result<Json<CheckpointBody>, Problem> {
    let newest = repo::latest_checkpoint(ledger.0.journal.store(), i64::MAX).await;
    let newest = newest.map_err(|error| Problem::store_unavailable(&error))?;
    newest.map(|row| Json(row.into())).ok_or_else(|| Problem::not_found("checkpoint"))
}

/// The sizes of two checkpoints.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ConsistencyQuery {
    /// `treeSize` of the earlier checkpoint.
    #[param(minimum = 1)]
    from: i64,
    /// `treeSize` of the later checkpoint.
    #[param(minimum = 1)]
    to: i64,
}

/// Prove that two checkpoints are of one history
///
/// That everything the earlier one covers is in the later one, unchanged and in the same places.
#[utoipa::path(
    get, path = "/api/v1/ledger/checkpoints/consistency", tag = "Ledger",
    operation_id = "proveConsistency",
    params(ConsistencyQuery),
    responses(
        (status = 200, description = "The proof.", body = ConsistencyBody),
        (status = 404, description = "There is no checkpoint of one of the sizes."),
        (status = 422, description = "`from` is larger than `to`."),
    ),
)]
async fn prove_consistency(
    State(ledger): State<Ledger>,
    Query(ConsistencyQuery { from, to }): Query<ConsistencyQuery>,
) -> Result<Json<ConsistencyBody>, Problem> {
    if from > to {
        let mut errors = web::FieldErrors::default();
        errors.add("to", "must not be below from");
        errors.into_result()?;
    }
    let (earlier, later) = (checkpoint(&ledger, from).await?, checkpoint(&ledger, to).await?);
    let path = ledger.0.prover.consistency(&earlier, &later).await;
    let path = path.map_err(|error| Problem::store_unavailable(&error))?;
    let path = path.iter().map(|hash| STANDARD.encode(hash)).collect();
    Ok(Json(ConsistencyBody { from: earlier.note, to: later.note, path }))
}

async fn checkpoint(ledger: &Ledger, size: i64) -> Result<CheckpointRow, Problem> {
    let found = repo::latest_checkpoint(ledger.0.journal.store(), size).await;
    let found = found.map_err(|error| Problem::store_unavailable(&error))?;
    let exact = found.filter(|found| found.tree_size == size);
    exact.ok_or_else(|| Problem::not_found("checkpoint"))
}

/// List the keys that checkpoints are checked with
///
/// As the tools of transparency logs write them. Get them once from somebody you trust, and keep them.
#[utoipa::path(
    get, path = "/api/v1/ledger/checkpoints/keys", tag = "Ledger",
    operation_id = "listCheckpointKeys",
    responses((status = 200, description = "The keys, the oldest first.", body = ListBody<VerifierKeyBody>)),
)]
async fn list_checkpoint_keys(
    State(ledger): State<Ledger>,
) -> Result<Json<ListBody<VerifierKeyBody>>, Problem> {
    let keys = repo::checkpoint_keys(ledger.0.journal.store()).await;
    let keys = keys.map_err(|error| Problem::store_unavailable(&error))?;
    let items = keys.into_iter().map(|verifier_key| VerifierKeyBody { verifier_key }).collect();
    Ok(Json(Page { items, next: None }.into()))
}
