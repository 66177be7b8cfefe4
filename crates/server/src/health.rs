//! Is the process alive, and can it serve?

use crate::stores::Stores;
use axum::extract::State;
use identity::Identity;
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;
use store::Store;
use utoipa::ToSchema;
use web::{Json, OpenApiRouter, Problem, routes};

/// A store that has not answered by then is as good as down.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// What is told of what answers, and of what does not.
const OK: &str = "ok";
const SILENT: &str = "does not answer";

/// That all is well.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct HealthBody {
    /// `live` or `ready`.
    #[schema(value_type = String, example = "ready")]
    status: &'static str,
}

/// What is asked whether it can serve.
#[derive(Clone)]
struct Asked {
    stores: Stores,
    identity: Identity,
}

pub(crate) fn router(stores: Stores, identity: Identity) -> OpenApiRouter {
    let asked = Asked { stores, identity };
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).with_state(asked)
}

/// Is the process alive?
#[utoipa::path(
    get, path = "/health/live", tag = "Health", operation_id = "getLiveness",
    responses((status = 200, description = "It is.", body = HealthBody)),
)]
async fn live() -> Json<HealthBody> {
    Json(HealthBody { status: "live" })
}

/// Can it serve?
#[utoipa::path(
    get, path = "/health/ready", tag = "Health", operation_id = "getReadiness",
    responses(
        (status = 200, description = "Every store answers, and tokens can be signed.",
            body = HealthBody),
        (status = 503, description = "`not_ready`: a store does not answer, and `stores` says which; \
            or `signingKeys` do not, and nobody can sign in."),
    ),
)]
async fn ready(State(asked): State<Asked>) -> Result<Json<HealthBody>, Problem> {
    let Asked { stores, identity } = asked;
    let (of_identity, of_ledger, of_wallet) =
        tokio::join!(state(&stores.identity), state(&stores.ledger), state(&stores.wallet));
    let states: Map<String, Value> = [of_identity, of_ledger, of_wallet].into_iter().collect();
    let signs = identity.can_sign_tokens();
    let what = match states.values().all(|state| state == OK) {
        true if signs => return Ok(Json(HealthBody { status: "ready" })),
        true => "access tokens cannot be signed",
        false => "a store does not answer",
    };
    let signing_keys = if signs { OK } else { SILENT };
    Err(Problem::unavailable("not_ready", what)
        .with("stores", states)
        .with("signingKeys", signing_keys))
}

async fn state(store: &Store) -> (String, Value) {
    let answer = tokio::time::timeout(PING_TIMEOUT, store.ping()).await;
    let state = if matches!(answer, Ok(Ok(()))) { OK } else { SILENT };
    (store.module().to_owned(), state.into())
}
