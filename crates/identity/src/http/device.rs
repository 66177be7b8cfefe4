use crate::Device;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use std::convert::Infallible;
use web::ClientAddress;

/// Where a request comes from, as far as it tells.
pub(super) struct FromDevice(pub(super) Device);

impl<S: Send + Sync> FromRequestParts<S> for FromDevice {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let user_agent = parts.headers.get(header::USER_AGENT);
        let user_agent = user_agent.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let address = ClientAddress::of(&parts.extensions);
        Ok(Self(Device {
            user_agent: user_agent.to_owned(),
            ip_address: address.map(|address| address.0.to_string()).unwrap_or_default(),
        }))
    }
}
