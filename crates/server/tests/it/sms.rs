//! Text messages through Twilio, which a stand-in plays that Twilio's own library was tried on.

use crate::secrets;
use crate::support::{Answer, Client, Server, World};
use crate::tls::Authority;
use adapters::testing::{
    ACCOUNT_SID, API_KEY_SECRET, API_KEY_SID, AUTH_TOKEN, Fate, SENDER, TwilioStandIn,
};
use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::testing::TestDatabase;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;

store::on_every_store! {
    a_phone_number_is_verified_by_a_text_message,
}

const PHONE: &str = "+212661554433";
const PASSWORD: &str = "a password of Salma's";
const VERIFICATION: &str = "/api/v1/me/phone/verification";
const STATUS: &str = "/api/v1/sms/twilio/status";
/// As Twilio sees it, from outside.
const STATUS_URL: &str = "https://api.bank.example/api/v1/sms/twilio/status";

/// The program with Twilio's stand-in, and secrets in files as orchestrators mount them.
fn command(world: &World, twilio: &TwilioStandIn) -> Command {
    for secret in [API_KEY_SECRET, AUTH_TOKEN] {
        secrets::learn(secret);
    }
    secrets::learn(&STANDARD.encode(format!("{API_KEY_SID}:{API_KEY_SECRET}")));
    let mut command = world.command(&["--no-demo"]);
    command
        .env("FINITECH__REGISTRATION__TRUST_CONTACTS", "false")
        .env("FINITECH__SMS__PROVIDER", "twilio")
        .env("FINITECH__TWILIO__BASE_URL", twilio.base_url())
        .env("FINITECH__TWILIO__ACCOUNT_SID", ACCOUNT_SID)
        .env("FINITECH__TWILIO__API_KEY_SID", API_KEY_SID)
        .env("FINITECH__TWILIO__API_KEY_SECRET_FILE", secret_file(world, "key", API_KEY_SECRET))
        .env("FINITECH__TWILIO__AUTH_TOKEN_FILE", secret_file(world, "token", AUTH_TOKEN))
        .env("FINITECH__TWILIO__FROM", SENDER)
        .env("FINITECH__TWILIO__STATUS_CALLBACK_URL", STATUS_URL);
    command
}

fn secret_file(world: &World, name: &str, secret: &str) -> PathBuf {
    let file = world.data_dir().with_file_name(name);
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    file
}

/// Somebody with this number, signed in.
async fn register(client: &Client, email: &str, phone: &str) -> Client {
    let person = json!({
        "email": email, "phoneNumber": phone, "password": PASSWORD, "displayName": "Salma Idrissi",
    });
    client.post("/api/v1/auth/register", &person).await.expect(201);
    let sign_in = json!({"identifier": email, "password": PASSWORD});
    let tokens = client.post("/api/v1/auth/login", &sign_in).await.expect(200);
    client.with_token(tokens["accessToken"].as_str().unwrap())
}

/// The longest word of a text, or its code: what is a secret of it.
fn secret_of(text: &str) -> String {
    let mut words =
        text.split(|one: char| !one.is_ascii_alphanumeric() && one != '-' && one != '_');
    let is_secret = |word: &&str| {
        word.len() > 30 || word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit())
    };
    let secret = words.find(is_secret).unwrap().to_owned();
    secrets::learn(&secret);
    secret
}

async fn a_phone_number_is_verified_by_a_text_message(database: TestDatabase) {
    let (world, twilio) = (World::new(database), TwilioStandIn::start().await);
    let server = Server::start(command(&world, &twilio)).await;
    let salma = register(&server.client, "salma@example.com", PHONE).await;
    salma.post(VERIFICATION, &Value::Null).await.expect(202);
    let taken = twilio.taken();
    assert_eq!(taken.len(), 1);
    let form = &taken[0].form;
    assert_eq!((form["To"].as_str(), form["From"].as_str()), (PHONE, SENDER));
    assert_eq!(form["StatusCallback"], STATUS_URL);
    let code = json!({"code": secret_of(&form["Body"])});
    salma.post(&format!("{VERIFICATION}/confirm"), &code).await.expect(204);
    assert_eq!(salma.get("/api/v1/me").await.expect(200)["phoneVerified"], true);

    // A password is found again by the number, once Twilio is past its trouble.
    twilio.destine([Fate::Answer(429, Some(20429), Some(1)), Fate::Cut]);
    let forgotten = json!({"identifier": PHONE});
    server.client.post("/api/v1/auth/password-resets", &forgotten).await.expect(202);
    // Nobody waits for it. The connection was cut after Twilio took it, so it comes twice.
    let mut taken = twilio.taken();
    for _ in 0..500 {
        if taken.len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        taken = twilio.taken();
    }
    assert_eq!(taken.len(), 3);
    assert_eq!(taken[1].form, taken[2].form);
    let complete =
        json!({"token": secret_of(&taken[2].form["Body"]), "newPassword": "the next of Salma's"});
    server.client.post("/api/v1/auth/password-resets/complete", &complete).await.expect(204);
    assert!(server.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_cannot_be_reached_is_told_apart_from_trouble() {
    let (world, twilio) = (World::new(TestDatabase::sqlite()), TwilioStandIn::start().await);
    let server = Server::start(command(&world, &twilio)).await;
    for (number, fates, status, code) in [
        (0, [Fate::Answer(400, Some(21610), None); 1].as_slice(), 422, "contact_unreachable"),
        (1, &[Fate::Answer(400, Some(21606), None)], 503, "message_not_sent"),
        (2, &[Fate::Answer(503, None, None), Fate::Cut], 503, "message_not_sent"),
        (3, &[Fate::Answer(429, None, Some(3600))], 503, "message_not_sent"),
    ] {
        let email = format!("salma{number}@example.com");
        let salma = register(&server.client, &email, &format!("+21266155443{number}")).await;
        twilio.destine(fates.iter().copied());
        let answer = salma.post(VERIFICATION, &Value::Null).await;
        assert_eq!(answer.body["code"], code);
        answer.expect(status);
    }
    let printed = server.printed();
    for told in ["error 21610", "error 21606: https://www.twilio.com/docs/errors/21606"] {
        assert!(printed.contains(told), "{told}: {printed}");
    }
    assert!(server.stop().await);
}

/// Serves the stand-in over TLS, with a certificate of the authority; where.
async fn over_tls(twilio: &TwilioStandIn, authority: &Authority) -> String {
    let issued = authority.issue(2100);
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.der.into()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let behind = twilio.base_url().trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut to = TcpStream::connect(&behind).await.unwrap();
                tokio::spawn(async move { copy_bidirectional(&mut stream, &mut to).await });
            }
        }
    });
    format!("https://{address}")
}

/// The program, which trusts the authority alone.
fn command_over_tls(
    world: &World,
    twilio: &TwilioStandIn,
    base_url: &str,
    trusted: &Authority,
) -> Command {
    let authorities = world.data_dir().with_file_name("authorities.pem");
    std::fs::write(&authorities, &trusted.pem).unwrap();
    let mut command = command(world, twilio);
    command.env("FINITECH__TWILIO__BASE_URL", base_url).env("SSL_CERT_FILE", authorities);
    command
}

/// A proxy that leads wherever it is asked to; where it is, and how often it was asked.
async fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut first = String::new();
            stream.read_line(&mut first).await.unwrap();
            let target = first.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
            let mut to = TcpStream::connect(target).await.unwrap();
            let mut header = String::from("unread");
            while !header.trim().is_empty() {
                header.clear();
                stream.read_line(&mut header).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move { copy_bidirectional(&mut stream, &mut to).await });
        }
    });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_leads_to_twilio_and_reads_nothing() {
    let (twilio, authority) = (TwilioStandIn::start().await, Authority::new());
    let (base_url, (proxy, asked)) = (over_tls(&twilio, &authority).await, proxy().await);
    let world = World::new(TestDatabase::sqlite());
    let mut command = command_over_tls(&world, &twilio, &base_url, &authority);
    command.env("HTTPS_PROXY", proxy);
    let server = Server::start(command).await;
    let salma = register(&server.client, "salma@example.com", PHONE).await;
    salma.post(VERIFICATION, &Value::Null).await.expect(202);
    assert_eq!((twilio.taken().len(), asked.load(Ordering::SeqCst)), (1, 1));
    assert!(server.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_to_a_server_that_the_systems_authorities_vouch_for_and_to_no_other() {
    let (twilio, authority) = (TwilioStandIn::start().await, Authority::new());
    let base_url = over_tls(&twilio, &authority).await;
    for (trusted, status, taken) in [(&Authority::new(), 503, 0), (&authority, 202, 1)] {
        let world = World::new(TestDatabase::sqlite());
        let server = Server::start(command_over_tls(&world, &twilio, &base_url, trusted)).await;
        let salma = register(&server.client, "salma@example.com", PHONE).await;
        salma.post(VERIFICATION, &Value::Null).await.expect(status);
        assert_eq!(twilio.taken().len(), taken);
        assert!(server.stop().await);
    }
}

async fn tell(client: &Client, form: &str, signature: &str) -> Answer {
    client.post_form_with(STATUS, form.to_owned(), &[("x-twilio-signature", signature)]).await
}

/// As Twilio signs forms whose fields are sorted and need no escapes.
fn signature(form: &str) -> String {
    let signed = format!("{STATUS_URL}{}", form.replace(['=', '&'], ""));
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, AUTH_TOKEN.as_bytes());
    STANDARD.encode(sign(&key, signed.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_do_not_arrive_are_told_to_the_operator() {
    let (world, twilio) = (World::new(TestDatabase::sqlite()), TwilioStandIn::start().await);
    let server = Server::start(command(&world, &twilio)).await;
    let client = &server.client;
    secrets::learn(PHONE.trim_start_matches('+'));
    let delivered = "MessageSid=SM11&MessageStatus=delivered";
    let undelivered =
        format!("ErrorCode=30005&MessageSid=SM22&MessageStatus=undelivered&To={}", &PHONE[1..]);
    tell(client, delivered, &signature(delivered)).await.expect(204);
    tell(client, &undelivered, &signature(&undelivered)).await.expect(204);
    for wrong in ["", "AAAA", &signature(delivered)] {
        let forged = tell(client, &undelivered.replace("SM22", "SM33"), wrong).await.expect(403);
        assert_eq!(forged["code"], "invalid_signature");
    }
    let nothing = "AccountSid=AC1";
    tell(client, nothing, &signature(nothing)).await.expect(422);
    let large = format!("MessageSid={}", "1".repeat(17 * 1024));
    tell(client, &large, &signature(&large)).await.expect(413);
    client.post(STATUS, &json!({})).await.expect(415);
    let printed = server.printed();
    let warnings: Vec<_> =
        printed.lines().filter(|line| line.contains("a text message did not arrive")).collect();
    assert_eq!(warnings.len(), 1, "{printed}");
    for told in ["SM22", "undelivered", "30005", "failed_since_start=1"] {
        assert!(warnings[0].contains(told), "{told}: {}", warnings[0]);
    }
    assert!(server.stop().await);

    let world = World::new(TestDatabase::sqlite());
    let without_twilio = Server::start(world.command(&["--no-demo"])).await;
    tell(&without_twilio.client, delivered, &signature(delivered)).await.expect(404);
    assert!(without_twilio.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secret_the_program_does_not_start() {
    let (world, twilio) = (World::new(TestDatabase::sqlite()), TwilioStandIn::start().await);
    for (file, expected) in [
        (world.data_dir().with_file_name("nowhere"), "nowhere"),
        (secret_file(&world, "empty", ""), "empty holds no secret"),
    ] {
        let mut command = command(&world, &twilio);
        command.env("FINITECH__TWILIO__API_KEY_SECRET_FILE", file);
        let finished = crate::support::finish(command).await;
        assert!(!finished.success && finished.stderr.contains(expected), "{}", finished.stderr);
    }
    let readable = secret_file(&world, "readable", API_KEY_SECRET);
    std::fs::set_permissions(&readable, PermissionsExt::from_mode(0o644)).unwrap();
    let mut command = command(&world, &twilio);
    command.env("FINITECH__TWILIO__API_KEY_SECRET_FILE", readable);
    let finished = crate::support::finish(command).await;
    assert!(!finished.success && finished.stderr.contains("chmod 600"), "{}", finished.stderr);
}
