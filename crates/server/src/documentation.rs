//! The OpenAPI document and the page that shows it.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::routing::get;
use serde_json::Value;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

#[derive(OpenApi)]
#[openapi(info(
    title = "Finitech",
    description = "Bank accounts and wallets on a double-entry ledger. Amounts are whole minor units; \
                   errors are problem details (RFC 9457) with a stable `code`; every POST that moves \
                   money takes an `Idempotency-Key`.",
    license(name = "Apache-2.0", identifier = "Apache-2.0"),
))]
struct Info;

/// What the page needs, which styles its parts in line, and nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
                                       img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                                       form-action 'none'; frame-ancestors 'none'";

/// The whole API as an OpenAPI 3.1 document.
pub(crate) fn openapi_document(routes: utoipa::openapi::OpenApi) -> Value {
    let mut api = Info::openapi();
    api.merge(routes);
    web::openapi::finish(api)
}

/// `/openapi.json`, and `/docs`, which loads nothing from elsewhere.
pub(crate) fn router(document: Value) -> Router {
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    let page = Router::from(page)
        .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, policy));
    Router::new().route("/openapi.json", get(async move || axum::Json(document))).merge(page)
}
