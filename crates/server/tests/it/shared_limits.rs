//! Rate limits that several processes count together in Redis, and what becomes of them without it.

use crate::support::{AHMED, Answer, Client, Server, World, id};
use hyper::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use store::testing::TestDatabase;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// The Redis that tests share. None of them may stop it or count on being alone there.
#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
fn shared_redis() -> Option<String> {
    let url = std::env::var("FINITECH_TEST_REDIS_URL").ok();
    if url.is_none() {
        eprintln!("skipped: FINITECH_TEST_REDIS_URL is not set");
    }
    url
}

/// A Redis of the test's own, which asks for a password.
struct Redis {
    folder: TempDir,
    port: u16,
    has_tls: bool,
    process: Option<Child>,
}

const REDIS_PASSWORD: &str = "a-password-of-redis";

impl Redis {
    async fn start() -> Self {
        Self::start_with(false).await
    }

    async fn start_with(has_tls: bool) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        if has_tls {
            make_certificate(folder.path()).await;
        }
        let mut redis = Self { folder, port, has_tls, process: None };
        redis.begin().await;
        redis
    }

    /// Starts it, empty, and waits until it listens.
    async fn begin(&mut self) {
        let port = self.port.to_string();
        let listen = match self.has_tls {
            false => vec!["--port", &port],
            true => {
                let files = ["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"];
                let tls = ["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"];
                [tls.as_slice(), &files].concat()
            }
        };
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1"])
            .args(listen)
            .args(["--save", "", "--appendonly", "no", "--requirepass", REDIS_PASSWORD])
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.process = Some(process.expect("redis-server is installed where Redis is tested"));
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("Redis did not start");
    }

    async fn kill(&mut self) {
        self.process.take().unwrap().kill().await.unwrap();
    }

    async fn signal(&self, signal: &str) {
        let pid = self.process.as_ref().unwrap().id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    }

    fn url(&self) -> String {
        let scheme = if self.has_tls { "rediss" } else { "redis" };
        format!("{scheme}://:{REDIS_PASSWORD}@127.0.0.1:{}/0", self.port)
    }
}

/// A certificate of this machine's, which nobody but itself vouches for.
async fn make_certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=redis"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output();
    assert!(made.await.expect("openssl is installed where Redis is tested").status.success());
}

/// A server that limits, counts in this Redis, and trusts a proxy on this machine.
async fn limited(world: &World, redis_url: &str) -> Server {
    Server::start(limiting(world, redis_url)).await
}

fn limiting(world: &World, redis_url: &str) -> Command {
    let mut command = world.command(&[]);
    command
        .env("FINITECH__RATE_LIMITING__ENABLED", "true")
        .env("FINITECH__RATE_LIMITING__REDIS_URL", redis_url)
        .env("FINITECH__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]");
    command
}

/// A wrong password from an address.
async fn guess(client: &Client, address: &str) -> Answer {
    let body = json!({"identifier": "nobody@example.com", "password": "a wrong password"});
    let headers = [("x-forwarded-for", address)];
    client.send(Method::POST, "/api/v1/auth/login", &headers, Some(&body)).await.unwrap()
}

/// How many guesses are left of those that an address may make.
fn left(answer: &Answer) -> u32 {
    let told = answer.headers["ratelimit"].to_str().unwrap();
    let (_, rest) = told.split_once("\"authentication\";r=").unwrap();
    rest.split(';').next().unwrap().parse().unwrap()
}

/// An address that no other test has, nor another run on the same Redis.
fn address_of_ones_own(server: &Server) -> String {
    let nanos = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    format!("2001:db8:{:x}:{:x}::1", server.pid() & 0xffff, nanos & 0xffff)
}

async fn rate_limits(server: &Server) -> Value {
    server.client.get("/health/ready").await.expect(200)["rateLimits"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_one_limit() {
    let Some(url) = shared_redis() else { return };
    let worlds = [World::new(TestDatabase::sqlite()), World::new(TestDatabase::sqlite())];
    let one = limited(&worlds[0], &url).await;
    let other = limited(&worlds[1], &url).await;
    let address = address_of_ones_own(&one);
    for (number, server) in [&one, &other, &one, &other, &one].into_iter().enumerate() {
        let answer = guess(&server.client, &address).await;
        assert_eq!(answer.status, 401);
        assert_eq!(left(&answer), 4 - u32::try_from(number).unwrap());
        let policy = &answer.headers["ratelimit-policy"];
        assert_eq!(policy, "\"global\";q=100;w=60, \"authentication\";q=5;w=300");
    }
    for server in [&one, &other] {
        let refused = guess(&server.client, &address).await;
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((200..=300).contains(&wait), "{wait}");
        assert_eq!(refused.headers["content-type"], "application/problem+json");
        let refused = refused.expect(429);
        assert_eq!(
            (&refused["code"], &refused["policy"]),
            (&json!("too_many_requests"), &json!("authentication"))
        );
        assert_eq!(rate_limits(server).await, "shared");
    }
    assert!(one.stop().await && other.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_on_two_servers_do_not_slip_through() {
    let Some(url) = shared_redis() else { return };
    let worlds = [World::new(TestDatabase::sqlite()), World::new(TestDatabase::sqlite())];
    let servers = [limited(&worlds[0], &url).await, limited(&worlds[1], &url).await];
    let address = address_of_ones_own(&servers[0]);
    let mut guesses = tokio::task::JoinSet::new();
    for number in 0..20 {
        let (client, address) = (servers[number % 2].client.clone(), address.clone());
        guesses.spawn(async move { guess(&client, &address).await.status });
    }
    let answers = guesses.join_all().await;
    let passed = answers.iter().filter(|status| **status == 401).count();
    assert_eq!((passed, answers.len()), (5, 20), "{answers:?}");
    for server in servers {
        assert!(server.stop().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_payments_count_together_on_every_server() {
    let Some(url) = shared_redis() else { return };
    let Some(database) = TestDatabase::postgres().await else { return };
    let world = World::new(database);
    let servers = [limited(&world, &url).await, limited(&world, &url).await];
    let ahmed = servers[0].client.signed_in(AHMED).await;
    let path = format!("/api/v1/wallets/{}/top-ups", id(&ahmed.wallet().await));
    let body = json!({"amountMinorUnits": 100, "currencyCode": "MAD"});
    for number in 0..12 {
        let client = servers[number % 2].client.with_token(&ahmed.token());
        let answer = client.post_with_key(&path, &format!("key-{number}"), &body).await;
        answer.expect(if number < 10 { 201 } else { 429 });
    }
    for server in servers {
        assert!(server.stop().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_each_server_limits_for_itself_and_says_so() {
    if shared_redis().is_none() {
        return;
    }
    let mut redis = Redis::start().await;
    let worlds = [World::new(TestDatabase::sqlite()), World::new(TestDatabase::sqlite())];
    let servers =
        [limited(&worlds[0], &redis.url()).await, limited(&worlds[1], &redis.url()).await];
    let [one, other] = &servers;
    let address = address_of_ones_own(one);
    assert_eq!(left(&guess(&one.client, &address).await), 4);
    assert_eq!(left(&guess(&other.client, &address).await), 3);

    redis.kill().await;
    for server in [one, other] {
        let begun = Instant::now();
        assert_eq!(left(&guess(&server.client, &address).await), 4, "its own count");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(rate_limits(server).await, "redis_unavailable");
        for _ in 0..4 {
            assert_eq!(guess(&server.client, &address).await.status, 401);
        }
        assert_eq!(guess(&server.client, &address).await.status, 429, "still limited");
    }

    redis.begin().await;
    for server in [one, other] {
        wait_until_shared(server).await;
    }
    let fresh = address.replace("2001:db8:", "2001:db9:");
    assert_eq!(left(&guess(&one.client, &fresh).await), 4);
    assert_eq!(left(&guess(&other.client, &fresh).await), 3, "together again");

    // It neither answers nor refuses.
    redis.signal("-STOP").await;
    let begun = Instant::now();
    let status = guess(&one.client, &address.replace("2001:db8:", "2001:dba:")).await.status;
    assert_eq!(status, 401);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(rate_limits(one).await, "redis_unavailable");
    redis.signal("-CONT").await;
    wait_until_shared(one).await;

    for (server, times) in servers.into_iter().zip([2, 1]) {
        let printed = server.printed();
        for told in ["in this process alone for now", "by all processes together again"] {
            assert_eq!(printed.matches(told).count(), times, "{told}");
        }
        assert!(!printed.contains(REDIS_PASSWORD));
        assert!(server.stop().await);
    }
}

/// Asks as clients do, because nobody else asks Redis.
async fn wait_until_shared(server: &Server) {
    for _ in 0..100 {
        server.client.get("/api/v1/me").await.expect(401);
        if rate_limits(server).await == "shared" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("Redis is back and not used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_without_redis_and_uses_it_when_it_comes() {
    if shared_redis().is_none() {
        return;
    }
    let mut redis = Redis::start().await;
    redis.kill().await;
    let world = World::new(TestDatabase::sqlite());
    let server = limited(&world, &redis.url()).await;
    assert_eq!(rate_limits(&server).await, "redis_unavailable", "known from the beginning");
    redis.begin().await;
    wait_until_shared(&server).await;
    assert!(server.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_reached_over_tls_if_its_certificate_is_trusted() {
    if shared_redis().is_none() {
        return;
    }
    let redis = Redis::start_with(true).await;
    let world = World::new(TestDatabase::sqlite());
    let server = limited(&world, &redis.url()).await;
    assert_eq!(rate_limits(&server).await, "redis_unavailable", "nobody vouches for it");
    assert!(server.stop().await);
    let mut trusting = limiting(&world, &redis.url());
    trusting.env("SSL_CERT_FILE", redis.folder.path().join("cert.pem"));
    let server = Server::start(trusting).await;
    wait_until_shared(&server).await;
    assert!(server.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_learns_nobodys_address_and_forgets() {
    if shared_redis().is_none() {
        return;
    }
    let redis = Redis::start().await;
    let world = World::new(TestDatabase::sqlite());
    let server = limited(&world, &redis.url()).await;
    let ahmed = server.client.signed_in(AHMED).await;
    ahmed.get("/api/v1/me").await.expect(200);
    guess(&server.client, "192.0.2.77").await.expect(401);
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    // Of the proxy's own address, of the user, and of whoever guessed.
    assert_eq!(keys.len(), 5, "{keys:?}");
    for key in keys {
        let digest = key.rsplit(':').next().unwrap();
        assert!(key.starts_with("finitech:rate:") && digest.len() == 32, "{key}");
        let longest = if key.contains(":authentication:") { 300_000 } else { 60_000 };
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
        assert!((1..=longest).contains(&left), "{key}: {left}");
        // A key without an end would lock somebody out for ever; it gets one with the next request.
        redis::cmd("PERSIST").arg(&key).exec_async(&mut connection).await.unwrap();
    }
    guess(&server.client, "192.0.2.77").await.expect(401);
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("*:authentication:*").query_async(&mut connection).await.unwrap();
    let mut lefts = Vec::new();
    for key in keys {
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
        lefts.push(left > 0);
    }
    lefts.sort_unstable();
    assert_eq!(lefts, [false, true], "the one that was counted, and not the other");
    assert!(server.stop().await);
}

#[tokio::test]
async fn an_address_of_redis_that_is_none_is_refused_without_repeating_it() {
    let world = World::new(TestDatabase::sqlite());
    let mut command = world.command(&[]);
    command
        .env("FINITECH__RATE_LIMITING__ENABLED", "true")
        .env("FINITECH__RATE_LIMITING__REDIS_URL", "http://:hunter2@127.0.0.1");
    let refused = crate::support::finish(command).await;
    assert!(!refused.success && refused.stderr.contains("rate_limiting.redis_url"), "{refused:?}");
    assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
}
