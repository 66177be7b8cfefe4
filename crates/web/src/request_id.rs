//! Request ids: taken from the client when it sends a sane one, made otherwise, always returned.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use kernel::IdSource;
use std::sync::Arc;
use tracing::Instrument;

/// The id of the request being answered.
#[derive(Clone, Debug)]
pub struct RequestId(Arc<str>);

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LENGTH_MAX: usize = 128;

tokio::task_local! {
    static CURRENT: RequestId;
}

impl RequestId {
    /// The id of the request that this task is answering, if it is answering one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn accept(header: Option<&HeaderValue>) -> Option<Self> {
        let text = header?.to_str().ok()?;
        let sane = (1..=LENGTH_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        sane.then(|| Self(text.into()))
    }
}

/// Middleware: [`identify`] for whatever comes next.
pub(crate) async fn assign(ids: Arc<dyn IdSource>, request: Request, next: Next) -> Response {
    identify(ids.as_ref(), request, |request| next.run(request)).await
}

/// Gives the request its id, names it in the log and in the answer.
pub(crate) async fn identify<A: Future<Output = Response>>(
    ids: &dyn IdSource,
    request: Request,
    answer: impl FnOnce(Request) -> A,
) -> Response {
    let id = RequestId::accept(request.headers().get(HEADER))
        .unwrap_or_else(|| RequestId(ids.next().to_string().into()));
    let span = tracing::info_span!(
        "request",
        id = id.as_str(),
        method = %request.method(),
        path = request.uri().path(),
    );
    let mut response = CURRENT.scope(id.clone(), answer(request)).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}
