//! Finishing the OpenAPI document that the routes generate: what holds for every operation is added in
//! one place instead of being repeated on each.

use crate::problem::ProblemBody;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(components(schemas(ProblemBody)))]
struct Shared;

/// Completes the document generated from the routes: the bearer scheme, and on each operation the
/// problems that any such operation can answer with.
pub fn finish(mut api: utoipa::openapi::OpenApi) -> Value {
    api.merge(Shared::openapi());
    let mut document = serde_json::to_value(api).unwrap_or_default();
    document["openapi"] = json!("3.1.0");
    document["components"]["securitySchemes"] = json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The accessToken of POST /api/v1/auth/login.",
        }
    });
    for operation in operations_mut(&mut document) {
        add_shared_responses(operation);
    }
    document
}

/// Every operation of a document: its method, path and object.
pub fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods
                .filter(|(method, _)| METHODS.contains(&method.as_str()))
                .map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
        })
        .collect()
}

/// The permissions that an operation asks for.
pub fn required_permissions(operation: &Value) -> impl Iterator<Item = &str> {
    let requirements = operation["security"].as_array().into_iter().flatten();
    let permissions = requirements.filter_map(|one| one["bearer"].as_array()).flatten();
    permissions.filter_map(Value::as_str)
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The same, to be changed.
pub fn operations_mut(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten();
    paths.flat_map(|(_, item)| {
        let methods = item.as_object_mut().into_iter().flatten();
        methods.filter(|(method, _)| METHODS.contains(&method.as_str())).map(|(_, one)| one)
    })
}

fn add_shared_responses(operation: &mut Value) {
    let secured = operation.get("security").is_some();
    let restricted = secured && required_permissions(operation).next().is_some();
    let has_body = operation.get("requestBody").is_some();
    let has_input = has_body || operation.get("parameters").is_some();
    let shared = [
        (has_body, "400", "The body is not JSON, or a required header is missing."),
        (secured, "401", "No valid access token."),
        (restricted, "403", "The permission is missing."),
        (secured, "403", "This is for people, not for API clients."),
        (has_body, "413", "The body is too large."),
        (has_body, "415", "The body is not declared as JSON."),
        (has_input, "422", "The request is not valid, or was refused; see `code`."),
        (true, "429", "`too_many_requests`; see `Retry-After`."),
        (true, "500", "The server failed. The cause is in its log under the request id."),
        (true, "503", "The service cannot answer now; see `Retry-After`."),
    ];
    let Some(responses) = operation
        .as_object_mut()
        .map(|object| object.entry("responses").or_insert_with(|| Value::Object(Map::new())))
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    for (applies, status, description) in shared {
        if applies {
            responses.entry(status).or_insert_with(|| json!({ "description": description }));
        }
    }
    for (status, response) in responses.iter_mut() {
        // An answer with a body of its own is one that a standard demands.
        if status.as_str() >= "400" && response.get("content").is_none() {
            response["content"] = json!({
                "application/problem+json": {
                    "schema": { "$ref": "#/components/schemas/ProblemBody" }
                }
            });
        }
    }
}
