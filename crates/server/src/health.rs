//! Is the process alive, and can it serve?

use crate::stores::Stores;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use utoipa::ToSchema;
use web::{CountingPlace, Json, OpenApiRouter, Problem, RequestCounts, routes};

/// A store that has not answered by then is as good as down.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// That the process is alive.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct HealthBody {
    /// Always `live`.
    #[schema(value_type = String, example = "live")]
    status: &'static str,
}

/// That requests can be served, and what is not as it should be all the same.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReadinessBody {
    /// Always `ready`.
    #[schema(value_type = String, example = "ready")]
    status: &'static str,
    /// Where requests are counted for the rate limits.
    rate_limits: RateLimitsBody,
}

/// Where requests are counted for the rate limits.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RateLimitsBody {
    /// Nowhere: there are none.
    Off,
    /// In each process for itself.
    InProcess,
    /// In Redis, by all processes together.
    Shared,
    /// In each process for itself, because Redis did not answer.
    RedisUnavailable,
}

impl From<CountingPlace> for RateLimitsBody {
    fn from(place: CountingPlace) -> Self {
        match place {
            CountingPlace::Process => Self::InProcess,
            CountingPlace::Shared => Self::Shared,
            CountingPlace::ProcessForNow => Self::RedisUnavailable,
        }
    }
}

/// What is asked for its health.
#[derive(Clone)]
struct Asked {
    stores: Stores,
    counts: Option<Arc<RequestCounts>>,
}

pub(crate) fn router(stores: Stores, counts: Option<Arc<RequestCounts>>) -> OpenApiRouter {
    let asked = Asked { stores, counts };
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
        (status = 200, description = "Every store answers.", body = ReadinessBody),
        (status = 503, description = "`not_ready`: a store does not answer; `stores` says which."),
    ),
)]
async fn ready(State(asked): State<Asked>) -> Result<Json<ReadinessBody>, Problem> {
    let Asked { stores, counts } = asked;
    let (identity, ledger, wallet) =
        tokio::join!(state(&stores.identity), state(&stores.ledger), state(&stores.wallet));
    let states: Map<String, Value> = [identity, ledger, wallet].into_iter().collect();
    if states.values().all(|state| state == "ok") {
        let rate_limits =
            counts.map_or(RateLimitsBody::Off, |counts| RateLimitsBody::from(counts.place()));
        return Ok(Json(ReadinessBody { status: "ready", rate_limits }));
    }
    Err(Problem::unavailable("not_ready", "a store does not answer").with("stores", states))
}

async fn state(store: &Store) -> (String, Value) {
    let answer = tokio::time::timeout(PING_TIMEOUT, store.ping()).await;
    let state = if matches!(answer, Ok(Ok(()))) { "ok" } else { "does not answer" };
    (store.module().to_owned(), state.into())
}
