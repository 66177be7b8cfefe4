//! The OpenAPI document and the page that shows it.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use identity::permissions;
use serde_json::{Map, Value, json};
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
    let mut document = web::openapi::finish(api);
    open_to_api_clients(&mut document);
    document
}

/// Says which operations an API client's token is good for too, and with which scope.
fn open_to_api_clients(document: &mut Value) {
    let scopes = permissions::FOR_CLIENTS.iter().map(|one| (one.0.to_owned(), json!("")));
    let scopes: Map<String, Value> = scopes.collect();
    for operation in web::openapi::operations_mut(document) {
        let needed: Vec<_> =
            web::openapi::required_permissions(operation).map(str::to_owned).collect();
        let is_open = !needed.is_empty() && needed.iter().all(|one| scopes.contains_key(one));
        if is_open && let Some(ways) = operation["security"].as_array_mut() {
            ways.push(json!({ "apiClient": needed }));
        }
    }
    document["components"]["securitySchemes"]["apiClient"] = json!({
        "type": "oauth2",
        "description": "The access_token of POST /api/v1/oauth/token.",
        "flows": {
            "clientCredentials": { "tokenUrl": "/api/v1/oauth/token", "scopes": scopes }
        }
    });
}

/// `/openapi.json`, and `/docs`, which loads nothing from elsewhere.
pub(crate) fn router(document: Value) -> Router {
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    let page = Router::from(page)
        .layer(map_response(say_utf8))
        .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, policy));
    Router::new().route("/openapi.json", get(async move || axum::Json(document))).merge(page)
}

/// The files of the page are in UTF-8 and do not say so.
async fn say_utf8(mut response: Response) -> Response {
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let text = media_type
        .and_then(|value| value.to_str().ok())
        .filter(|text| text.starts_with("text/") && !text.contains("charset"));
    if let Some(value) = text.and_then(|text| format!("{text}; charset=utf-8").try_into().ok()) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}
