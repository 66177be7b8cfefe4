//! HTTP as a client of the program speaks it. Each attempt is one request: nothing is sent again unseen.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::time::Duration;

/// The demo world's administrator.
const IDENTIFIER: &str = "admin@example.com";
const PASSWORD: &str = "demo-Finitech-1";

/// Twice what a request may take in the server: whoever waits longer is not answered at all.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// An answer of the program.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The `code` of a problem.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// It was given before, to the same request.
    pub(crate) fn is_replayed(&self) -> bool {
        self.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
    }

    /// The server has not even begun with the request, since others wait before it.
    pub(crate) fn is_busy(&self) -> bool {
        self.code() == "ledger_busy"
    }

    /// The server cannot now, and the answer says so as it should. What came of the request is unknown unless
    /// it [is busy](Self::is_busy).
    pub(crate) fn is_unavailable(&self) -> bool {
        let content = self.headers.get("content-type");
        self.status == 503
            && !self.code().is_empty()
            && self.headers.contains_key("retry-after")
            && content.is_some_and(|content| content == "application/problem+json")
    }
}

/// Why there was no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// There was no connection: nothing was sent.
    Refused,
    /// The connection broke: the outcome is unknown.
    Lost,
    /// The connection stood and nothing came.
    Silence,
}

/// A client with connections of its own.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    http: Client<HttpConnector, Full<Bytes>>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        Self { http: builder.retry_canceled_requests(false).build_http() }
    }

    pub(crate) async fn send(
        &self,
        base: &str,
        token: Option<&str>,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, NoAnswer> {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method).uri(format!("{base}{path}"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        // Made of parts that are always valid.
        self.answer(request.body(Full::from(body)).map_err(|_| NoAnswer::Lost)?).await
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Answer, NoAnswer> {
        let exchange = async {
            let response = self.http.request(request).await;
            let response = response.map_err(|error| match error.is_connect() {
                true => NoAnswer::Refused,
                false => NoAnswer::Lost,
            })?;
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await.map_err(|_| NoAnswer::Lost)?.to_bytes();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        tokio::time::timeout(ANSWER_MAX, exchange).await.map_err(|_| NoAnswer::Silence)?
    }

    /// Asks for a token of an API client.
    pub(crate) async fn grant(
        &self,
        base: &str,
        id: &str,
        secret: &str,
    ) -> Result<Answer, NoAnswer> {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let request = Request::post(format!("{base}/api/v1/oauth/token"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(form));
        self.answer(request.map_err(|_| NoAnswer::Lost)?).await
    }

    /// Signs the administrator in.
    pub(crate) async fn sign_in(&self, base: &str) -> Result<Answer, NoAnswer> {
        let body = json!({ "identifier": IDENTIFIER, "password": PASSWORD });
        self.send(base, None, "/api/v1/auth/login", Some(&body)).await
    }
}

/// What the answer to signing in gives: the access token, and how long it counts.
pub(crate) fn session(answer: &Answer) -> anyhow::Result<(String, Duration)> {
    let (token, seconds) = (answer.body["accessToken"].as_str(), answer.body["expiresIn"].as_u64());
    match (answer.status, token.zip(seconds)) {
        (200, Some((token, seconds))) => Ok((token.to_owned(), Duration::from_secs(seconds))),
        _ => anyhow::bail!("an answer that signing in should not get: {answer:?}"),
    }
}
