use crate::Device;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::net::SocketAddr;

/// Where a request comes from, as far as it tells.
pub(super) struct FromDevice(pub(super) Device);

impl<S: Send + Sync> FromRequestParts<S> for FromDevice {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let user_agent = parts.headers.get(header::USER_AGENT);
        let user_agent = user_agent.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(Device {
            user_agent: user_agent.to_owned(),
            ip_address: address.map(|address| address.0.ip().to_string()).unwrap_or_default(),
        }))
    }
}
