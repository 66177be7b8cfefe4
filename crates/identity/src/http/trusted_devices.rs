//! One's own trusted devices.

use super::{Identities, error};
use crate::{Identity, TrustedDevice};
use axum::extract::State;
use axum::http::StatusCode;
use kernel::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{AnyUser, Authorized, Json, OpenApiRouter, Path, Problem, routes};

pub(super) fn router() -> OpenApiRouter<Identities> {
    OpenApiRouter::new()
        .routes(routes!(list_trusted_devices))
        .routes(routes!(forget_trusted_device))
}

/// A device that is not asked for the second factor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TrustedDeviceBody {
    /// Its id.
    id: Uuid,
    /// The device, as far as it tells.
    #[schema(example = "Firefox on Windows")]
    device_name: String,
    /// When it was trusted.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The last sign-in from it.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// Until when it is trusted.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// The devices that one trusts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TrustedDevicesBody {
    /// Newest first, 20 at most.
    items: Vec<TrustedDeviceBody>,
}

impl From<TrustedDevice> for TrustedDeviceBody {
    fn from(device: TrustedDevice) -> Self {
        let TrustedDevice { id, device_name, created_at, last_used_at, expires_at } = device;
        Self { id, device_name, created_at, last_used_at, expires_at }
    }
}

/// The devices that one trusts not to be asked for the second factor.
#[utoipa::path(
    get,
    path = "/api/v1/me/trusted-devices",
    operation_id = "listTrustedDevices",
    tag = "Identity",
    security(("bearer" = [])),
    responses((status = 200, description = "The devices.", body = TrustedDevicesBody)),
)]
async fn list_trusted_devices(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
) -> Result<Json<TrustedDevicesBody>, Problem> {
    let devices = identity.trusted_devices().mine(&caller.actor).await;
    let devices = devices.map_err(|error| error::failed(error.into()))?;
    Ok(Json(TrustedDevicesBody {
        items: devices.into_iter().map(TrustedDeviceBody::from).collect(),
    }))
}

/// Trust a device no more.
#[utoipa::path(
    post,
    path = "/api/v1/me/trusted-devices/{id}/forget",
    operation_id = "forgetTrustedDevice",
    tag = "Identity",
    params(("id" = Uuid, Path, description = "The device's id.")),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "Its next sign-in asks for the second factor."),
        (status = 404, description = "`not_found`: no such device, or somebody else's."),
    ),
)]
async fn forget_trusted_device(
    State(identity): State<Identity>,
    caller: Authorized<AnyUser>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let forgotten = identity.trusted_devices().forget(&caller.actor, id).await;
    if !forgotten.map_err(|error| error::failed(error.into()))? {
        return Err(Problem::not_found("trusted device"));
    }
    Ok(StatusCode::NO_CONTENT)
}
