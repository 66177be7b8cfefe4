//! What became of text messages: Twilio tells it by requests to us.
//!
//! Nobody waits for it. A message that did not arrive is counted and told to the operator by its name at
//! Twilio, where its number can be looked up; it stands in no log of ours.

use adapters::{CallbackError, TwilioCallbacks};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use utoipa::ToSchema;
use web::{Form, OpenApiRouter, Problem, routes};

/// Twilio's requests are far smaller.
const BODY_BYTES_MAX: usize = 16 * 1024;

#[derive(Clone)]
struct Deliveries {
    callbacks: Option<Arc<TwilioCallbacks>>,
    /// Messages that did not arrive, since the start of the process.
    failed: Arc<AtomicU64>,
}

/// The form that Twilio sends. There are more fields; all of them are signed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents the fields")]
struct StatusForm {
    /// Twilio's name of the message.
    #[schema(rename = "MessageSid", example = "SM00000000000000000000000000000001")]
    message_sid: String,
    /// `sent`, `delivered`, `undelivered`, `failed` or another word of Twilio's.
    #[schema(rename = "MessageStatus", example = "delivered")]
    message_status: String,
    /// Why the message did not arrive.
    #[schema(rename = "ErrorCode", example = "30005")]
    error_code: Option<String>,
}

/// Takes what Twilio tells, if it was asked to tell anything.
pub(crate) fn router(callbacks: Option<TwilioCallbacks>) -> OpenApiRouter {
    let deliveries =
        Deliveries { callbacks: callbacks.map(Arc::new), failed: Arc::new(AtomicU64::new(0)) };
    OpenApiRouter::new()
        .routes(routes!(report_sms_status))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(deliveries)
}

/// Tell what became of a text message. For Twilio, which signs it; see
/// [its documentation](https://www.twilio.com/docs/usage/webhooks/webhooks-security).
#[utoipa::path(
    post,
    path = "/api/v1/sms/twilio/status",
    operation_id = "reportSmsStatus",
    tag = "Text messages",
    params((
        "X-Twilio-Signature" = String, Header,
        description = "HMAC-SHA1 over the address and the sorted fields, in base64.",
    )),
    request_body(content = StatusForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 204, description = "Thanks."),
        (status = 403, description = "`invalid_signature`."),
        (status = 404, description = "This installation does not send through Twilio, or did not ask."),
        (status = 415, description = "`unsupported_media_type`."),
        (status = 422, description = "`validation_failed`: the form lacks a field."),
    ),
)]
async fn report_sms_status(
    State(deliveries): State<Deliveries>,
    headers: HeaderMap,
    Form(form): Form,
) -> Result<StatusCode, Problem> {
    let signature = headers.get("x-twilio-signature").and_then(|value| value.to_str().ok());
    let signature = signature.ok_or_else(|| refused(CallbackError::Signature))?;
    let callbacks = deliveries.callbacks.ok_or_else(|| Problem::not_found("status of messages"))?;
    let status = callbacks.read(signature, &form).map_err(refused)?;
    if status.is_failure() {
        let failed = deliveries.failed.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        tracing::warn!(
            message_sid = status.message_sid,
            status = status.status,
            error_code = status.error_code,
            failed_since_start = failed,
            "a text message did not arrive"
        );
    }
    Ok(StatusCode::NO_CONTENT)
}

fn refused(error: CallbackError) -> Problem {
    let text = error.to_string();
    match error {
        CallbackError::Signature => Problem::new(StatusCode::FORBIDDEN, "invalid_signature", text),
        CallbackError::Incomplete => Problem::unprocessable("validation_failed", text),
    }
}
