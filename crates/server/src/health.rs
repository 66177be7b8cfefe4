//! Is the process alive, and can it serve?

use crate::certificate::Certificate;
use crate::stores::Stores;
use axum::extract::State;
use kernel::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use utoipa::ToSchema;
use web::{Json, OpenApiRouter, Problem, routes};

/// A store that has not answered by then is as good as down.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// That the process is alive.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct LiveBody {
    /// `live`.
    #[schema(value_type = String, example = "live")]
    status: &'static str,
}

/// That it can serve.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct ReadyBody {
    /// `ready`.
    #[schema(value_type = String, example = "ready")]
    status: &'static str,
    /// Of HTTPS, if the server itself speaks it.
    certificate: Option<CertificateBody>,
}

/// The certificate that is served.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CertificateBody {
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Whether it is the one in the files of the settings; `false` while they hold something that cannot
    /// be used. The log says what is wrong with it.
    is_newest: bool,
}

/// What is asked for its health.
#[derive(Clone)]
pub(crate) struct Checked {
    pub(crate) stores: Stores,
    pub(crate) certificate: Option<Arc<Certificate>>,
}

pub(crate) fn router(checked: Checked) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).with_state(checked)
}

/// Is the process alive?
#[utoipa::path(
    get, path = "/health/live", tag = "Health", operation_id = "getLiveness",
    responses((status = 200, description = "It is.", body = LiveBody)),
)]
async fn live() -> Json<LiveBody> {
    Json(LiveBody { status: "live" })
}

/// Can it serve?
#[utoipa::path(
    get, path = "/health/ready", tag = "Health", operation_id = "getReadiness",
    responses(
        (status = 200, description = "Every store answers.", body = ReadyBody),
        (status = 503, description = "`not_ready`: a store does not answer; `stores` says which."),
    ),
)]
async fn ready(State(checked): State<Checked>) -> Result<Json<ReadyBody>, Problem> {
    let stores = &checked.stores;
    let (identity, ledger, wallet) =
        tokio::join!(state(&stores.identity), state(&stores.ledger), state(&stores.wallet));
    let states: Map<String, Value> = [identity, ledger, wallet].into_iter().collect();
    if states.values().all(|state| state == "ok") {
        let certificate = checked.certificate.as_ref().map(|certificate| {
            let status = certificate.status();
            CertificateBody { expires_at: status.expires_at, is_newest: status.is_newest }
        });
        return Ok(Json(ReadyBody { status: "ready", certificate }));
    }
    Err(Problem::unavailable("not_ready", "a store does not answer").with("stores", states))
}

async fn state(store: &Store) -> (String, Value) {
    let answer = tokio::time::timeout(PING_TIMEOUT, store.ping()).await;
    let state = if matches!(answer, Ok(Ok(()))) { "ok" } else { "does not answer" };
    (store.module().to_owned(), state.into())
}
