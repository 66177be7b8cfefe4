//! Rate limits: how many requests somebody may make in a window of time.

mod counts;
mod local;

pub use counts::{CountingPlace, RequestCounts, SharedCounter, SharedCounterError};

use crate::{Authenticator, ClientAddress, Problem};
use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use kernel::UserId;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// So many requests in a window that begins with the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub requests: u32,
    /// For how long.
    pub window: Duration,
}

/// The limits of all routes.
#[derive(Clone, Debug)]
pub struct RateLimits {
    /// For all requests together: of a signed-in user, else of a client's address.
    pub global: Quota,
    /// Beside it for routes where somebody shows who they are, always of an address.
    pub authentication: Quota,
    /// Beside the global one for routes that move money.
    pub payments: Quota,
    /// The routes of `authentication`, as they were declared: `/api/v1/auth/login`. Each is a POST.
    pub authentication_routes: &'static [&'static str],
    /// Those of `payments`, likewise.
    pub payment_routes: &'static [&'static str],
    /// Routes without any limit, for probes and for providers that tell us something.
    pub free_routes: &'static [&'static str],
}

/// Counts the requests of these routes, tells in `RateLimit` headers what is left
/// (draft-ietf-httpapi-ratelimit-headers-10), and answers 429 when nothing is.
pub fn limit_rates(
    router: Router,
    limits: RateLimits,
    authenticator: Arc<dyn Authenticator>,
    counts: Arc<RequestCounts>,
) -> Router {
    let limiter = Arc::new(Limiter { limits, authenticator, counts });
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let limiter = limiter.clone();
        async move { limiter.limit(request, next).await }
    }))
}

struct Limiter {
    limits: RateLimits,
    authenticator: Arc<dyn Authenticator>,
    counts: Arc<RequestCounts>,
}

/// Which of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Policy {
    Global,
    Authentication,
    Payments,
}

impl Policy {
    fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Authentication => "authentication",
            Self::Payments => "payments",
        }
    }
}

/// Requests that are counted together: somebody's, under one of the limits, in a window of time that begins
/// with the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Counted {
    /// The name of the limit.
    pub limit: &'static str,
    /// Whose requests: a digest, so that no address stands wherever they are counted.
    pub caller: [u8; 16],
    /// How long the window is.
    pub window: Duration,
}

/// How far a window has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How many requests there were, with this one.
    pub requests: u32,
    /// Until the window ends.
    pub left: Duration,
}

/// Who makes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    User(UserId),
    Address(IpAddr),
    /// Nobody knows from where.
    Unknown,
}

impl Caller {
    fn digest(self) -> [u8; 16] {
        let text = match self {
            Self::User(id) => format!("user {}", id.0),
            Self::Address(address) => format!("address {address}"),
            Self::Unknown => "unknown".to_owned(),
        };
        let mut half = [0; 16];
        half.copy_from_slice(&digest(&SHA256, text.as_bytes()).as_ref()[..16]);
        half
    }
}

/// What one limit says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    policy: Policy,
    quota: Quota,
    is_over: bool,
    remaining: u32,
    /// Until the window ends, in whole seconds.
    reset_seconds: u64,
}

impl Verdict {
    fn of((policy, quota): (Policy, Quota), count: Count) -> Self {
        let begun_second = u64::from(count.left.subsec_nanos() > 0);
        Self {
            policy,
            quota,
            is_over: count.requests > quota.requests,
            remaining: quota.requests.saturating_sub(count.requests),
            reset_seconds: count.left.as_secs().saturating_add(begun_second),
        }
    }
}

impl Limiter {
    async fn limit(&self, request: Request, next: Next) -> Response {
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let route = route.unwrap_or_default();
        if self.limits.free_routes.contains(&route) {
            return next.run(request).await;
        }
        let is_post = request.method() == Method::POST;
        let in_list = |routes: &[&str]| is_post && routes.contains(&route);
        let special = if in_list(self.limits.authentication_routes) {
            Some((Policy::Authentication, self.limits.authentication))
        } else if in_list(self.limits.payment_routes) {
            Some((Policy::Payments, self.limits.payments))
        } else {
            None
        };
        let address = address(&request);
        let from = ClientAddress::of(request.extensions()).map(|address| address.0);
        let caller = self.caller(request.headers(), from).await.unwrap_or(address);
        let mut policies = vec![(Policy::Global, self.limits.global)];
        policies.extend(special);
        let whose = |policy| if policy == Policy::Authentication { address } else { caller };
        let windows: Vec<Counted> = policies
            .iter()
            .map(|&(policy, quota)| Counted {
                limit: policy.name(),
                caller: whose(policy).digest(),
                window: quota.window,
            })
            .collect();
        let counts = self.counts.count(&windows).await;
        let counted: Vec<Verdict> = policies
            .into_iter()
            .zip(counts)
            .map(|(policy, count)| Verdict::of(policy, count))
            .collect();
        let over = counted.iter().filter(|one| one.is_over).max_by_key(|one| one.reset_seconds);
        let mut response = match over {
            Some(over) => refusal(over).into_response(),
            None => next.run(request).await,
        };
        tell(response.headers_mut(), &counted);
        response
    }

    /// The user of a request with a good token.
    async fn caller(&self, headers: &HeaderMap, from: Option<IpAddr>) -> Option<Caller> {
        let token = crate::auth::bearer_token(headers)?;
        let actor = self.authenticator.authenticate(token, from).await.ok()?;
        Some(Caller::User(actor.user_id))
    }
}

fn address(request: &Request) -> Caller {
    let address = ClientAddress::of(request.extensions());
    address.map_or(Caller::Unknown, |address| Caller::Address(address.network()))
}

fn refusal(over: &Verdict) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_requests",
        "too many requests; wait as long as Retry-After says",
    )
    .retry_after(over.reset_seconds)
    .with("policy", over.policy.name())
}

fn tell(headers: &mut HeaderMap, counted: &[Verdict]) {
    let list = |one: &dyn Fn(&Verdict) -> String| {
        let items: Vec<String> = counted.iter().map(one).collect();
        HeaderValue::from_str(&items.join(", ")).ok()
    };
    let policy = list(&|one| {
        let window = one.quota.window.as_secs();
        format!("\"{}\";q={};w={window}", one.policy.name(), one.quota.requests)
    });
    let left = list(&|one| {
        format!("\"{}\";r={};t={}", one.policy.name(), one.remaining, one.reset_seconds)
    });
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", left)] {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

#[cfg(test)]
mod tests;
