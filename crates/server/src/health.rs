//! Is the process alive, and can it serve?

use crate::certificate::Certificate;
use crate::stores::Stores;
use axum::extract::State;
use identity::Identity;
use kernel::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use utoipa::ToSchema;
use web::{CountingPlace, Json, OpenApiRouter, Problem, RequestCounts, routes};

/// A store that has not answered by then is as good as down.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// What is told of what answers, and of what does not.
const OK: &str = "ok";
const SILENT: &str = "does not answer";

/// That the process is alive.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct LiveBody {
    /// `live`.
    #[schema(value_type = String, example = "live")]
    status: &'static str,
}

/// That it can serve.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReadyBody {
    /// `ready`.
    #[schema(value_type = String, example = "ready")]
    status: &'static str,
    /// Of HTTPS, if the server itself speaks it.
    certificate: Option<CertificateBody>,
    /// Where requests are counted for the rate limits.
    rate_limits: RateLimitsBody,
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
pub(crate) struct Checked {
    pub(crate) stores: Stores,
    pub(crate) identity: Identity,
    pub(crate) certificate: Option<Arc<Certificate>>,
    pub(crate) counts: Option<Arc<RequestCounts>>,
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
        (status = 200, description = "Every store answers, and tokens can be signed.",
             body = ReadyBody),
        (status = 503, description = "`not_ready`: a store does not answer, and `stores` says which; \
             or `signingKeys` do not, and nobody can sign in."),
    ),
)]
async fn ready(State(checked): State<Checked>) -> Result<Json<ReadyBody>, Problem> {
    let Checked { stores, identity, certificate, counts } = checked;
    let (of_cards, of_identity, of_ledger, of_wallet) = tokio::join!(
        state(&stores.cards),
        state(&stores.identity),
        state(&stores.ledger),
        state(&stores.wallet),
    );
    let states: Map<String, Value> =
        [of_cards, of_identity, of_ledger, of_wallet].into_iter().collect();
    let signs = identity.can_sign_tokens();
    let certificate = certificate.map(|certificate| {
        let status = certificate.status();
        CertificateBody { expires_at: status.expires_at, is_newest: status.is_newest }
    });
    let rate_limits =
        counts.map_or(RateLimitsBody::Off, |counts| RateLimitsBody::from(counts.place()));
    let what = match states.values().all(|state| state == OK) {
        true if signs => return Ok(Json(ReadyBody { status: "ready", certificate, rate_limits })),
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
