//! Requests that are refused because of who makes them, from where or how often, for whoever keeps count of
//! them.

use crate::problem::{Code, Noted};
use crate::{AuthenticationError, Authenticator, ClientAddress};
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{self, Next};
use kernel::UserId;
use std::sync::Arc;

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedAccess {
    /// Whose token it came with, if that is good or was before it was taken back.
    pub actor: Option<UserId>,
    /// Where it came from, if that is known.
    pub from: Option<ClientAddress>,
    /// The program that sent it, in its own words.
    pub user_agent: String,
    /// Method and path, as they were declared: `GET /api/v1/admin/users/{id}`. Whatever else a caller may
    /// think of is one word.
    pub route: String,
    /// Why: the code of the problem, or what is wrong with the token ([`crate::InvalidToken::code`]).
    pub code: &'static str,
}

/// Keeps count of refused requests.
pub trait RefusalLog: Send + Sync {
    /// Notes one. The answer waits for it, so it takes no longer than a thought.
    fn note(&self, refused: RefusedAccess);
}

/// Tells `log` of requests to these routes that are refused: 403, 429, a 401 that wants a fresh
/// authentication or is for a token that no honest client sends, and a 404 for a signed-in caller's choice of an object, which may be somebody else's.
/// [`crate::trust_proxies`] has to wrap the result.
pub fn note_refusals(
    router: Router,
    authenticator: Arc<dyn Authenticator>,
    log: Arc<dyn RefusalLog>,
) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let (authenticator, log) = (authenticator.clone(), log.clone());
        let asked = Asked::of(&request);
        async move {
            let response = next.run(request).await;
            let extensions = response.extensions();
            if let Some(Noted { code, actor }) = extensions.get::<Noted>().copied() {
                log.note(asked.refused(code, actor));
            } else if let Some(Code(code)) = extensions.get::<Code>().copied()
                && asked.is_refused(response.status(), code)
            {
                let actor = asked.actor(authenticator.as_ref()).await;
                log.note(asked.refused(code, actor));
            }
            response
        }
    }))
}

/// What is left of a request when it was answered. Making it copies no text.
struct Asked {
    method: Method,
    path: Option<MatchedPath>,
    from: Option<ClientAddress>,
    authorization: Option<axum::http::HeaderValue>,
    user_agent: Option<axum::http::HeaderValue>,
}

impl Asked {
    fn of(request: &Request) -> Self {
        Self {
            method: request.method().clone(),
            path: request.extensions().get().cloned(),
            from: ClientAddress::of(request.extensions()),
            authorization: request.headers().get(header::AUTHORIZATION).cloned(),
            user_agent: request.headers().get(header::USER_AGENT).cloned(),
        }
    }

    fn is_refused(&self, status: StatusCode, code: &str) -> bool {
        let names_an_object = || self.path.as_ref().is_some_and(|path| path.as_str().contains('{'));
        match status {
            StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::UNAUTHORIZED => code == crate::auth::NOT_FRESH,
            StatusCode::NOT_FOUND => {
                code == "not_found" && self.authorization.is_some() && names_an_object()
            }
            _ => false,
        }
    }

    /// What is told of the request. Of its token nothing is.
    fn refused(self, code: &'static str, actor: Option<UserId>) -> RefusedAccess {
        let user_agent = self.user_agent.as_ref().and_then(|value| value.to_str().ok());
        RefusedAccess {
            actor,
            from: self.from,
            user_agent: user_agent.unwrap_or_default().to_owned(),
            route: route(&self.method, self.path.as_ref()),
            code,
        }
    }

    /// Whose token it came with. Those that were checked a moment ago are remembered, so this costs next to
    /// nothing.
    async fn actor(&self, authenticator: &dyn Authenticator) -> Option<UserId> {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, self.authorization.clone()?)]);
        let token = crate::auth::bearer_token(&headers)?;
        match authenticator.authenticate(token, self.from.map(|address| address.0)).await {
            Ok(actor) => Some(actor.user_id),
            Err(AuthenticationError::AddressNotAllowed(client)) => Some(client),
            Err(_) => None,
        }
    }
}

fn route(method: &Method, path: Option<&MatchedPath>) -> String {
    let is_known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ]
    .contains(method);
    match path {
        Some(path) if is_known => format!("{method} {}", path.as_str()),
        _ => "other".to_owned(),
    }
}

#[cfg(test)]
mod tests;
