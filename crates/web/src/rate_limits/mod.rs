//! Rate limits: how many requests somebody may make in a window of time. Each process counts for itself.

use crate::{Authenticator, ClientAddress, Problem};
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use kernel::{Clock, Timestamp, UserId};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// Routes without any limit, for probes.
    pub free_routes: &'static [&'static str],
}

/// Counts the requests of these routes, tells in `RateLimit` headers what is left
/// (draft-ietf-httpapi-ratelimit-headers-10), and answers 429 when nothing is.
pub fn limit_rates(
    router: Router,
    limits: RateLimits,
    authenticator: Arc<dyn Authenticator>,
    clock: Arc<dyn Clock>,
) -> Router {
    let limiter =
        Arc::new(Limiter { limits, authenticator, clock, counters: Mutex::new(Counters::new()) });
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let limiter = limiter.clone();
        async move { limiter.limit(request, next).await }
    }))
}

struct Limiter {
    limits: RateLimits,
    authenticator: Arc<dyn Authenticator>,
    clock: Arc<dyn Clock>,
    counters: Mutex<Counters>,
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

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Caller {
    User(UserId),
    Address(IpAddr),
    /// Everybody else when there are too many to tell apart.
    Others,
}

/// What one limit says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted {
    policy: Policy,
    quota: Quota,
    is_over: bool,
    remaining: u32,
    /// Until the window ends, in whole seconds.
    reset_seconds: u64,
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
        let mut counted = vec![self.count(Policy::Global, self.limits.global, caller)];
        if let Some((policy, quota)) = special {
            let whose = if policy == Policy::Authentication { address } else { caller };
            counted.push(self.count(policy, quota, whose));
        }
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

    fn count(&self, policy: Policy, quota: Quota, caller: Caller) -> Counted {
        let now = self.clock.now();
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let (requests, ends_at) = counters.add((policy, caller), quota.window, now);
        let left = ends_at.since(now);
        let begun_second = u64::from(left.subsec_nanos() > 0);
        Counted {
            policy,
            quota,
            is_over: requests > quota.requests,
            remaining: quota.requests.saturating_sub(requests),
            reset_seconds: left.as_secs().saturating_add(begun_second),
        }
    }
}

/// An address; of IPv6 the network of 64 bits, because that is what one customer has.
fn address(request: &Request) -> Caller {
    match ClientAddress::of(request.extensions()) {
        None => Caller::Others,
        Some(ClientAddress(IpAddr::V6(address))) => {
            let network = address.to_bits() & (u128::MAX << 64);
            Caller::Address(Ipv6Addr::from_bits(network).into())
        }
        Some(ClientAddress(address)) => Caller::Address(address),
    }
}

fn refusal(over: &Counted) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_requests",
        "too many requests; wait as long as Retry-After says",
    )
    .retry_after(over.reset_seconds)
    .with("policy", over.policy.name())
}

fn tell(headers: &mut HeaderMap, counted: &[Counted]) {
    let list = |one: &dyn Fn(&Counted) -> String| {
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

/// The windows of everybody who made a request lately.
struct Counters {
    windows: HashMap<(Policy, Caller), Window>,
    /// When those that are over are thrown away next.
    clean_at: Timestamp,
}

struct Window {
    requests: u32,
    ends_at: Timestamp,
}

/// About 10 MB. More callers than this are counted together.
const WINDOWS_MAX: usize = 100_000;
/// Looking through all of them takes milliseconds, so it is not done for each request.
const CLEAN_EVERY: Duration = Duration::from_secs(10);

impl Counters {
    fn new() -> Self {
        Self { windows: HashMap::new(), clean_at: Timestamp::EPOCH }
    }

    /// Counts a request, and answers with how many there were in the window and when it ends.
    fn add(
        &mut self,
        (policy, caller): (Policy, Caller),
        length: Duration,
        now: Timestamp,
    ) -> (u32, Timestamp) {
        if now >= self.clean_at {
            self.windows.retain(|_, window| now < window.ends_at);
            self.clean_at = now.plus(CLEAN_EVERY);
        }
        let is_known = self.windows.contains_key(&(policy, caller));
        let has_room = is_known || self.windows.len() < WINDOWS_MAX;
        let caller = if has_room { caller } else { Caller::Others };
        let fresh = || Window { requests: 0, ends_at: now.plus(length) };
        let window = self.windows.entry((policy, caller)).or_insert_with(fresh);
        if now >= window.ends_at {
            *window = fresh();
        }
        window.requests = window.requests.saturating_add(1);
        (window.requests, window.ends_at)
    }
}

#[cfg(test)]
mod tests;
