use super::local::{LocalCounts, WINDOWS_MAX};
use super::*;
use crate::{AuthenticationError, InvalidToken};
use async_trait::async_trait;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use kernel::{Actor, ActorKind, ManualClock, Timestamp};
use std::net::{Ipv6Addr, SocketAddr};
use tower::ServiceExt;
use uuid::Uuid;

/// Tokens are numbers of users.
struct Numbers;

#[async_trait]
impl Authenticator for Numbers {
    async fn authenticate(
        &self,
        token: &str,
        _: Option<IpAddr>,
    ) -> Result<Actor, AuthenticationError> {
        let number: u128 =
            token.parse().map_err(|_| AuthenticationError::Invalid(InvalidToken::Malformed))?;
        Ok(Actor {
            user_id: UserId(Uuid::from_u128(number)),
            kind: ActorKind::Person,
            session_id: Uuid::nil(),
            roles: Default::default(),
            permissions: Default::default(),
            authenticated_at: None,
        })
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const LIMITS: RateLimits = RateLimits {
    global: Quota { requests: 100, window: MINUTE },
    authentication: Quota { requests: 5, window: Duration::from_secs(300) },
    payments: Quota { requests: 10, window: MINUTE },
    authentication_routes: &["/login"],
    payment_routes: &["/wallets/{id}/transfers"],
    free_routes: &["/health/live"],
};

struct Server {
    router: Router,
    clock: Arc<ManualClock>,
}

impl Server {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let router = Router::new()
            .route("/login", post(async || ()))
            .route("/wallets/{id}/transfers", post(async || ()).get(async || ()))
            .route("/me", get(async || ()))
            .route("/health/live", get(async || ()));
        let counts = Arc::new(RequestCounts::in_process(clock.clone()));
        let router = limit_rates(router, LIMITS, Arc::new(Numbers), counts);
        Self { router: crate::trust_proxies(router, Vec::new()), clock }
    }

    async fn send(&self, method: &str, path: &str, from: &str, token: &str) -> Response {
        let peer = SocketAddr::new(from.parse().unwrap(), 1);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .extension(ConnectInfo(peer))
            .body(Body::empty());
        self.router.clone().oneshot(request.unwrap()).await.unwrap()
    }

    /// How many requests pass before one is refused.
    async fn passing(&self, method: &str, path: &str, from: &str, token: &str) -> u32 {
        for passed in 0..1_000 {
            let response = self.send(method, path, from, token).await;
            if response.status() == StatusCode::TOO_MANY_REQUESTS {
                return passed;
            }
        }
        u32::MAX
    }
}

fn text(response: &Response, name: &str) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_guides_limits_hold() {
    let server = Server::new();
    assert_eq!(server.passing("GET", "/me", "192.0.2.1", "").await, 100);
    assert_eq!(server.passing("POST", "/login", "192.0.2.2", "").await, 5);
    assert_eq!(server.passing("POST", "/wallets/1/transfers", "192.0.2.3", "7").await, 10);
    assert_eq!(server.passing("GET", "/wallets/1/transfers", "192.0.2.3", "8").await, 100);
    assert_eq!(server.passing("GET", "/health/live", "192.0.2.4", "").await, u32::MAX);
}

#[tokio::test]
async fn a_window_ends() {
    let server = Server::new();
    assert_eq!(server.passing("POST", "/login", "192.0.2.1", "").await, 5);
    server.clock.advance(Duration::from_secs(299));
    assert_eq!(server.passing("POST", "/login", "192.0.2.1", "").await, 0);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(server.passing("POST", "/login", "192.0.2.1", "").await, 5);
}

#[tokio::test]
async fn users_are_told_apart_and_so_are_addresses() {
    let server = Server::new();
    let path = "/wallets/1/transfers";
    assert_eq!(server.passing("POST", path, "192.0.2.1", "1").await, 10);
    assert_eq!(server.passing("POST", path, "192.0.2.1", "2").await, 10, "another user there");
    assert_eq!(server.passing("POST", path, "192.0.2.9", "1").await, 0, "the user elsewhere");
    assert_eq!(server.passing("POST", path, "192.0.2.1", "x").await, 10, "a token that is none");
    // A token of one's own gives nobody more tries at passwords.
    assert_eq!(server.passing("POST", "/login", "192.0.2.1", "1").await, 5);
    assert_eq!(server.passing("POST", "/login", "192.0.2.1", "3").await, 0);
    // One customer has a whole network of IPv6.
    assert_eq!(server.passing("POST", "/login", "2001:db8::1", "").await, 5);
    assert_eq!(server.passing("POST", "/login", "2001:db8::2", "").await, 0);
    assert_eq!(server.passing("POST", "/login", "2001:db8:0:1::1", "").await, 5);
}

#[tokio::test]
async fn headers_tell_what_is_left() {
    let server = Server::new();
    let first = server.send("GET", "/me", "192.0.2.1", "").await;
    assert_eq!(text(&first, "ratelimit-policy"), "\"global\";q=100;w=60");
    assert_eq!(text(&first, "ratelimit"), "\"global\";r=99;t=60");
    server.clock.advance(Duration::from_millis(1_500));
    for _ in 0..5 {
        server.send("POST", "/login", "192.0.2.1", "").await;
    }
    server.clock.advance(Duration::from_millis(500));
    let refused = server.send("POST", "/login", "192.0.2.1", "").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(text(&refused, "retry-after"), "300");
    assert_eq!(text(&refused, "content-type"), "application/problem+json");
    assert_eq!(
        text(&refused, "ratelimit-policy"),
        "\"global\";q=100;w=60, \"authentication\";q=5;w=300"
    );
    assert_eq!(text(&refused, "ratelimit"), "\"global\";r=93;t=58, \"authentication\";r=0;t=300");
}

#[test]
fn memory_is_bounded() {
    let mut counts = LocalCounts::new();
    let mut now = Timestamp::EPOCH;
    let counted = |number: usize| Counted {
        limit: "global",
        caller: (number as u128).to_be_bytes(),
        window: MINUTE,
    };
    for number in 1..=WINDOWS_MAX * 2 {
        counts.add(counted(number), now);
    }
    assert_eq!(counts.len(), WINDOWS_MAX + 1, "one for all others");
    now = now.plus(MINUTE);
    let again = counts.add(counted(WINDOWS_MAX * 3), now);
    assert_eq!(again, Count { requests: 1, left: MINUTE });
    assert!(counts.len() <= 2, "what is over is thrown away");
}

#[test]
fn callers_are_told_apart_and_not_named() {
    let user = Caller::User(UserId(Uuid::from_u128(7)));
    let address = Caller::Address(Ipv6Addr::from_bits(7).into());
    assert_ne!(user.digest(), address.digest());
    assert_eq!(user.digest(), Caller::User(UserId(Uuid::from_u128(7))).digest());
    assert!(!user.digest().ends_with(&[7]), "not the id itself");
}
