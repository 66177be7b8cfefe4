//! HTTPS in the process, and what becomes of requests that do not come by it.

use crate::support::{AHMED, Client, PASSWORD, Server, World, finish};
use crate::tls::{Authority, Way, connect};
use hyper::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use store::testing::TestDatabase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

/// A certificate in files, and the settings that name them.
struct Files {
    chain: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(world: &World) -> Self {
        std::fs::create_dir_all(world.data_dir()).unwrap();
        Self { chain: world.data_dir().join("tls.pem"), key: world.data_dir().join("tls.key") }
    }

    fn write(&self, chain: &str, key: &str) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(&self.chain, chain).unwrap();
        std::fs::write(&self.key, key).unwrap();
        std::fs::set_permissions(&self.key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn named_in(&self, mut command: Command) -> Command {
        command
            .env("FINITECH__TLS__CERTIFICATE_FILE", &self.chain)
            .env("FINITECH__TLS__KEY_FILE", &self.key);
        command
    }
}

fn production(mut command: Command) -> Command {
    command.env("FINITECH__ENVIRONMENT", "Production");
    command
}

fn log_in() -> Value {
    json!({"identifier": AHMED, "password": PASSWORD})
}

#[tokio::test]
async fn https_is_served_by_http_2_and_http_1_over_tls_1_3_and_1_2() {
    let (world, authority) = (World::new(TestDatabase::sqlite()), Authority::new());
    let files = Files::of(&world);
    let one = authority.issue(2040);
    files.write(&one.chain, &one.key);
    let server = Server::start(files.named_in(world.command(&[]))).await;
    assert!(server.ready.contains("is ready on https://127.0.0.1:"), "{}", server.ready);
    for way in [Way::Http2, Way::Http1, Way::Tls12] {
        let mut connection = connect(&authority, server.address(), way).await.unwrap();
        assert_eq!(connection.certificate, one.der);
        // Two on one connection.
        for _ in 0..2 {
            let answer = connection.send("POST", "/api/v1/auth/login", Some(&log_in())).await;
            let tokens = answer.unwrap().expect(200);
            assert!(tokens["accessToken"].is_string());
        }
        let answer = connection.send("GET", "/health/ready", None).await.unwrap();
        assert!(!answer.headers.contains_key("strict-transport-security"), "in Development");
        let body = answer.expect(200);
        assert_eq!(body["certificate"]["isNewest"], true);
        assert_eq!(body["certificate"]["expiresAt"], one.expires_at);
    }
    // Nobody else's certificate is taken for ours.
    let stranger = Authority::new();
    assert!(connect(&stranger, server.address(), Way::Http2).await.is_err());
    assert!(server.stop().await);
}

#[tokio::test]
async fn plain_requests_to_the_port_of_https_are_told_so_and_not_carried_out() {
    let (world, authority) = (World::new(TestDatabase::sqlite()), Authority::new());
    let files = Files::of(&world);
    let one = authority.issue(2040);
    files.write(&one.chain, &one.key);
    let server = Server::start(files.named_in(world.command(&[]))).await;
    let plain = Client::new(&format!("http://{}", server.address()));
    let refused = plain.post("/api/v1/auth/login", &log_in()).await;
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    assert!(refused.headers.contains_key("x-request-id"));
    assert_eq!(refused.expect(403)["code"], "https_required");
    assert_eq!(plain.get("/api/v1/me").await.expect(403)["code"], "https_required");
    let page = plain.get("/docs/").await;
    assert_eq!(page.status, 308);
    assert_eq!(page.headers["location"], format!("https://{}/docs/", server.address()));
    plain.get("/health/live").await.expect(200);
    assert!(server.stop().await);
}

/// How long the server keeps a connection over which `said` came, from before it accepts it: its
/// own clock for the connection begins later than this one.
async fn kept(address: SocketAddr, said: &[u8]) -> Duration {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(said).await.unwrap();
    let mut answered = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answered));
    closed.await.expect("the connection is closed at last").unwrap_or_default();
    begun.elapsed()
}

#[tokio::test]
async fn connections_that_say_nothing_are_closed() {
    let (world, authority) = (World::new(TestDatabase::sqlite()), Authority::new());
    let files = Files::of(&world);
    let one = authority.issue(2040);
    files.write(&one.chain, &one.key);
    let mut command = files.named_in(world.command(&["--no-demo"]));
    command
        .env("FINITECH__TLS__REDIRECT_ADDRESS", "127.0.0.1:0")
        .env("FINITECH__SERVER__IDLE_TIMEOUT_SECONDS", "2");
    let server = Server::start(command).await;
    let redirected = server.redirected_from().await;
    let plain = redirected.trim_start_matches("http://").parse().unwrap();
    let request = b"GET /docs HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let (nothing, half, answered, no_handshake, half_a_handshake) = tokio::join!(
        kept(plain, b""),
        kept(plain, &request[..20]),
        kept(plain, request),
        kept(server.address(), b""),
        kept(server.address(), &[22, 3, 1]),
    );
    for idle in [nothing, half, answered] {
        assert!((2..30).contains(&idle.as_secs()), "{idle:?}");
    }
    for idle in [no_handshake, half_a_handshake] {
        assert!((10..40).contains(&idle.as_secs()), "{idle:?}");
    }
    assert!(server.stop().await);
}

/// Requests without end, each on a connection of its own or all on one; how many were answered.
async fn load(
    authority: Arc<Authority>,
    server: SocketAddr,
    stop: Arc<AtomicBool>,
    is_kept: bool,
) -> usize {
    let mut answered = 0;
    let mut connection = connect(&authority, server, Way::Http2).await.unwrap();
    while !stop.load(Ordering::Relaxed) {
        let answer = connection.send("GET", "/.well-known/jwks.json", None).await.unwrap();
        answer.expect(200);
        answered += 1;
        if !is_kept {
            let way = if answered % 2 == 0 { Way::Http2 } else { Way::Http1 };
            connection = connect(&authority, server, way).await.unwrap();
        }
    }
    answered
}

#[tokio::test]
async fn a_new_certificate_is_taken_without_losing_a_request_and_a_broken_one_is_not_taken() {
    let (world, authority) = (World::new(TestDatabase::sqlite()), Arc::new(Authority::new()));
    let files = Files::of(&world);
    let [first, second, third] = [2040, 2050, 2060].map(|year| authority.issue(year));
    files.write(&first.chain, &first.key);
    let server = Server::start(files.named_in(world.command(&["--no-demo"]))).await;
    let address = server.address();
    let stop = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = [true, false, false]
        .map(|is_kept| tokio::spawn(load(authority.clone(), address, stop.clone(), is_kept)))
        .into();
    // The certificate and what readiness says of it.
    let served = async || {
        let mut connection = connect(&authority, address, Way::Http2).await.unwrap();
        let ready = connection.send("GET", "/health/ready", None).await.unwrap().expect(200);
        (connection.certificate, ready["certificate"].clone())
    };
    let becomes = async |der: &[u8], is_newest: bool| {
        for _ in 0..100 {
            let (certificate, told) = served().await;
            if certificate == der && told["isNewest"] == is_newest {
                return told["expiresAt"].clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the certificate did not change: {:?}", served().await.1);
    };
    assert_eq!(becomes(&first.der, true).await, first.expires_at);
    files.write(&second.chain, &second.key);
    assert_eq!(becomes(&second.der, true).await, second.expires_at);
    // Nothing of this can be used, and none of it is.
    let over = authority.issue(2020);
    for (chain, key) in [
        ("not a certificate", third.key.as_str()),
        (&third.chain, "not a key"),
        (&third.chain, &first.key),
        ("", ""),
        (&over.chain, &over.key),
    ] {
        files.write(chain, key);
        assert_eq!(becomes(&second.der, false).await, second.expires_at);
        files.write(&second.chain, &second.key);
        becomes(&second.der, true).await;
    }
    std::fs::remove_file(&files.key).unwrap();
    becomes(&second.der, false).await;
    files.write(&third.chain, &third.key);
    assert_eq!(becomes(&third.der, true).await, third.expires_at);
    stop.store(true, Ordering::Relaxed);
    for load in loads {
        let answered = load.await.expect("no request was lost");
        assert!(answered > 20, "{answered} requests are no load");
    }
    assert!(server.stop().await);
}

#[tokio::test]
async fn requests_in_flight_over_tls_are_answered_before_the_end() {
    let (world, authority) = (World::new(TestDatabase::sqlite()), Arc::new(Authority::new()));
    let files = Files::of(&world);
    let one = authority.issue(2040);
    files.write(&one.chain, &one.key);
    let server = Server::start(files.named_in(world.command(&[]))).await;
    let address = server.address();
    // One that is in the middle of nothing, and one that has not even agreed on keys, keep nobody waiting.
    let idle = connect(&authority, address, Way::Http2).await.unwrap();
    let silent = TcpStream::connect(address).await.unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let signing_in: Vec<_> = [Way::Http2, Way::Http1, Way::Http2, Way::Tls12]
        .map(|way| {
            let (authority, sent) = (authority.clone(), sent.clone());
            tokio::spawn(async move {
                let mut connection = connect(&authority, address, way).await.unwrap();
                sent.fetch_add(1, Ordering::SeqCst);
                connection.send("POST", "/api/v1/auth/login", Some(&log_in())).await
            })
        })
        .into();
    while sent.load(Ordering::SeqCst) < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Long enough for the requests to arrive, too short for all of them to be answered.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = Instant::now();
    assert!(server.stop().await);
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    for answer in signing_in {
        answer.await.unwrap().expect("an answer").expect(200);
    }
    drop((idle, silent));
}

#[tokio::test]
async fn production_serves_https_and_leads_people_there() {
    let (world, authority) = (World::new(TestDatabase::sqlite()), Authority::new());
    let files = Files::of(&world);
    let one = authority.issue(2040);
    files.write(&one.chain, &one.key);
    assert!(world.run(&["migrate"]).await.success);
    let mut command = files.named_in(production(world.command(&[])));
    command.env("FINITECH__TLS__REDIRECT_ADDRESS", "127.0.0.1:0");
    let server = Server::start(command).await;
    let mut connection = connect(&authority, server.address(), Way::Http2).await.unwrap();
    let answer = connection.send("POST", "/api/v1/auth/login", Some(&log_in())).await.unwrap();
    assert_eq!(answer.headers["strict-transport-security"], "max-age=31536000; includeSubDomains");
    answer.expect(401);
    let plain = Client::new(&server.redirected_from().await);
    let page = plain.get("/docs/?x=1").await;
    assert_eq!(page.status, 308);
    assert_eq!(page.headers["location"], format!("https://{}/docs/?x=1", server.address()));
    assert!(!page.headers.contains_key("strict-transport-security"));
    for (method, path) in [("POST", "/api/v1/auth/login"), ("GET", "/api/v1/me")] {
        let method: Method = method.parse().unwrap();
        let refused = plain.send(method, path, &[], Some(&log_in())).await.unwrap();
        assert_eq!(refused.expect(403)["code"], "https_required");
    }
    assert!(server.stop().await);
}

#[tokio::test]
async fn production_takes_requests_from_its_proxies_alone_and_only_those_that_came_over_https() {
    let world = World::new(TestDatabase::sqlite());
    assert!(world.run(&["migrate"]).await.success);
    let behind = |proxies: &str| {
        let mut command = production(world.command(&[]));
        command.env("FINITECH__SERVER__TRUSTED_PROXIES", format!("[\"{proxies}\"]"));
        command
    };
    let person = json!({
        "email": "amina@example.com",
        "phoneNumber": "+212661111111",
        "password": PASSWORD,
        "displayName": "Amina",
    });
    // Past the proxies: whatever the request says of itself.
    let server = Server::start(behind("10.0.0.0/8")).await;
    for client in [server.client.clone(), server.client.through_proxy()] {
        let refused = client.post("/api/v1/auth/register", &person).await.expect(403);
        assert_eq!(refused["code"], "not_through_proxy");
        assert_eq!(client.get("/docs/").await.status, 403);
        client.get("/health/ready").await.expect(200);
    }
    assert!(server.stop().await);
    let server = Server::start(behind("127.0.0.0/8")).await;
    let refused = server.client.post("/api/v1/auth/register", &person).await;
    assert!(!refused.headers.contains_key("strict-transport-security"));
    assert_eq!(refused.expect(403)["code"], "https_required");
    server.client.get("/health/ready").await.expect(200);
    // None of those before was carried out.
    let answer = server.client.through_proxy().post("/api/v1/auth/register", &person).await;
    assert!(answer.headers.contains_key("strict-transport-security"));
    answer.expect(201);
    assert!(server.stop().await);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_told_at_the_start() {
    let (world, authority) = (World::new(TestDatabase::sqlite()), Authority::new());
    let files = Files::of(&world);
    let (one, other) = (authority.issue(2040), authority.issue(2040));
    let refused = async |expected: &str| {
        let refused = finish(files.named_in(world.command(&[]))).await;
        assert!(!refused.success && refused.stderr.contains(expected), "{expected}: {refused:?}");
    };
    refused("cannot read the certificate").await;
    files.write(&one.chain, &other.key);
    refused("the key is not that of the certificate").await;
    files.write(&one.key, &one.key);
    refused("the file of the certificate holds none").await;
    files.write(&one.chain, &one.chain);
    refused("the file of the key holds no private key").await;
    files.write(&one.chain, &one.key);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&files.key, open).unwrap();
    refused("chmod 600").await;
    let mut half = world.command(&[]);
    half.env("FINITECH__TLS__CERTIFICATE_FILE", &files.chain);
    let half = finish(half).await;
    assert!(!half.success && half.stderr.contains("tls.key_file belong together"), "{half:?}");
}

#[tokio::test]
async fn production_does_not_send_a_password_to_a_database_that_it_cannot_recognise() {
    let world = World::new(TestDatabase::sqlite());
    for arguments in [&[][..], &["migrate"], &["ledger", "verify"]] {
        let mut command = production(world.command(arguments));
        // An address for documentation: whoever connects waits.
        command.env(
            "FINITECH__CONNECTION_STRINGS__DEFAULT",
            "postgres://finitech:hunter2@192.0.2.1/finitech?sslmode=require",
        );
        let asked = Instant::now();
        let refused = finish(command).await;
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        assert!(!refused.success && refused.stderr.contains("sslmode=verify-full"), "{refused:?}");
        assert!(refused.stderr.contains("postgres.network_is_protected"), "{refused:?}");
        assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
        assert_eq!(refused.stderr.contains("tls.certificate_file"), arguments.is_empty());
    }
}
