//! Is the process alive, and can it serve?

use crate::stores::Stores;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;
use store::Store;
use utoipa::ToSchema;
use web::{Json, OpenApiRouter, Problem, routes};

/// A store that has not answered by then is as good as down.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// That all is well.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct HealthBody {
    /// `live` or `ready`.
    #[schema(value_type = String, example = "ready")]
    status: &'static str,
}

pub(crate) fn router(stores: Stores) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).with_state(stores)
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
        (status = 200, description = "Every store answers.", body = HealthBody),
        (status = 503, description = "`not_ready`: a store does not answer; `stores` says which."),
    ),
)]
async fn ready(State(stores): State<Stores>) -> Result<Json<HealthBody>, Problem> {
    let (cards, identity, ledger, wallet) = tokio::join!(
        state(&stores.cards),
        state(&stores.identity),
        state(&stores.ledger),
        state(&stores.wallet),
    );
    let states: Map<String, Value> = [cards, identity, ledger, wallet].into_iter().collect();
    if states.values().all(|state| state == "ok") {
        return Ok(Json(HealthBody { status: "ready" }));
    }
    Err(Problem::unavailable("not_ready", "a store does not answer").with("stores", states))
}

async fn state(store: &Store) -> (String, Value) {
    let answer = tokio::time::timeout(PING_TIMEOUT, store.ping()).await;
    let state = if matches!(answer, Ok(Ok(()))) { "ok" } else { "does not answer" };
    (store.module().to_owned(), state.into())
}
