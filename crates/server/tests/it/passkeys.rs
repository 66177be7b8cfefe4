//! Passkeys as a real browser makes and shows them, on the pages of `examples/passkeys`, where
//! `FINITECH_TEST_CHROMEDRIVER` names the browser's driver.

use crate::browser::{Authenticator, Browser};
use crate::support::{Client, PASSWORD, Server, World};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::testing::TestDatabase;
use tokio::net::TcpListener;

store::on_every_store! {
    a_browser_makes_passkeys_and_signs_in_with_them,
    what_a_browser_must_not_be_talked_into_is_refused,
}

const INDEX: &str = include_str!("../../../../examples/passkeys/index.html");
const SCRIPT: &str = include_str!("../../../../examples/passkeys/passkeys.js");

const CHALLENGE: &str = "/api/v1/auth/login/passkey/challenge";
const LOG_IN: &str = "/api/v1/auth/login/passkey";
const REGISTRATION: &str = "/api/v1/me/passkeys/registration";
const MINE: &str = "/api/v1/me/passkeys";

/// The flags of a passkey that can be in two places, and is.
const BACKED_UP: u8 = 0x18;

/// Serves the pages of the example; answers with their port.
async fn pages() -> u16 {
    let script = || async { ([(CONTENT_TYPE, "text/javascript")], SCRIPT) };
    let pages =
        Router::new().route("/", get(|| async { Html(INDEX) })).route("/passkeys.js", get(script));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, pages).await });
    port
}

/// A server, the page that its passkeys are for, and a browser.
struct Site {
    world: World,
    server: Server,
    browser: Browser,
    /// Where the page comes from.
    origin: String,
    /// Another origin of the same domain. The operator lets it call, but not ask for passkeys.
    neighbour: String,
    /// One that the operator named nowhere.
    stranger: String,
    /// The page's own origin by the address of its host.
    address: String,
    /// How the next phone number ends.
    people: AtomicUsize,
}

impl Site {
    async fn open(database: TestDatabase) -> Option<Self> {
        let browser = Browser::start().await?;
        let (page, neighbour, stranger) = (pages().await, pages().await, pages().await);
        let (origin, address) =
            (format!("http://localhost:{page}"), format!("http://127.0.0.1:{page}"));
        let [neighbour, stranger] =
            [neighbour, stranger].map(|port| format!("http://localhost:{port}"));
        let world = World::new(database);
        let mut command = world.command(&["--no-demo"]);
        let callers = json!([origin, neighbour, address]);
        command
            .env("FINITECH__PASSKEYS__ORIGINS", json!([origin]).to_string())
            .env("FINITECH__CORS__ALLOWED_ORIGINS", callers.to_string());
        let server = Server::start(command).await;
        browser.open(&origin).await;
        Some(Self {
            world,
            server,
            browser,
            origin,
            neighbour,
            stranger,
            address,
            people: AtomicUsize::new(10),
        })
    }

    fn base(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Somebody new, who is signed in with the password.
    async fn newcomer(&self, email: &str) -> Client {
        let number = self.people.fetch_add(1, Ordering::Relaxed);
        let person = json!({
            "email": email, "phoneNumber": format!("+2126612345{number}"), "password": PASSWORD,
            "displayName": "زينب Zineb",
        });
        self.server.client.post("/api/v1/auth/register", &person).await.expect(201);
        self.server.client.signed_in(email).await
    }

    /// Calls a function of the page's script: what it promises, or the name of what it threw.
    async fn call(&self, function: &str, arguments: Value) -> Result<Value, String> {
        let script = "
            const [name, ...rest] = arguments;
            return import('/passkeys.js').then(async (script) => {
                try {
                    return { value: await script[name](...rest) };
                } catch (error) {
                    return { refused: error instanceof script.Problem ? error.code : error.name };
                }
            });";
        let mut all = vec![Value::from(function)];
        all.extend(arguments.as_array().unwrap().iter().cloned());
        let mut outcome = self.browser.run(script, all.into()).await;
        match outcome["refused"].take() {
            Value::String(name) => Err(name),
            _ => Ok(outcome["value"].take()),
        }
    }

    /// A passkey from whichever authenticator is there, added as the page does.
    async fn add(&self, user: &Client) -> Result<Value, String> {
        self.call("add", json!([self.base(), user.token(), "Telephone"])).await
    }

    async fn sign_in(&self) -> Result<Value, String> {
        self.call("signIn", json!([self.base()])).await
    }

    /// The code of the refusal of a passkey that a page made of other options than ours.
    async fn refusal_of_new(&self, user: &Client, change: impl Fn(&mut Value)) -> String {
        let mut options = user.post(REGISTRATION, &json!({})).await.expect(201);
        change(&mut options);
        let passkey = self.call("create", json!([options])).await.unwrap();
        let body = json!({"name": "Telephone", "passkey": passkey});
        code(user.post(MINE, &body).await.expect(422))
    }

    /// The same of a sign-in.
    async fn refusal_of_shown(&self, change: impl Fn(&mut Value)) -> String {
        let mut options = self.server.client.post(CHALLENGE, &json!({})).await.expect(201);
        change(&mut options);
        let passkey = self.call("show", json!([options])).await.unwrap();
        code(self.server.client.post(LOG_IN, &json!({ "passkey": passkey })).await.expect(401))
    }

    async fn close(self) {
        self.browser.end().await;
        assert!(self.server.stop().await);
        self.world.verify().await;
    }
}

fn code(problem: Value) -> String {
    problem["code"].as_str().unwrap().to_owned()
}

fn claims(tokens: &Value) -> Value {
    let token = tokens["accessToken"].as_str().unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

async fn a_browser_makes_passkeys_and_signs_in_with_them(database: TestDatabase) {
    let Some(site) = Site::open(database).await else { return };
    the_page_does_it_all(&site).await;
    every_kind_of_key_and_of_authenticator_signs_in(&site).await;
    a_passkey_is_a_second_factor_and_shows_again_who_one_is(&site).await;
    site.close().await;
}

async fn what_a_browser_must_not_be_talked_into_is_refused(database: TestDatabase) {
    let Some(site) = Site::open(database).await else { return };
    an_authenticator_makes_one_passkey_for_an_account(&site).await;
    users_must_be_verified(&site).await;
    pages_of_other_origins_get_nothing(&site).await;
    a_copy_of_an_authenticator_is_found_out(&site).await;
    a_key_that_only_says_somebody_is_there_is_no_passkey(&site).await;
    site.close().await;
}

/// Clicks a button of the page; what the page then shows begins as expected.
async fn click(site: &Site, button: &str, expected: &str) {
    site.browser.run("document.querySelector('output').value = '';", json!([])).await;
    site.browser.click(&format!("button[name={button}]")).await;
    for _ in 0..2_400 {
        let shown = site.browser.text("output").await;
        if !["", "…"].contains(&shown.as_str()) {
            assert!(shown.starts_with(expected), "{button}: {shown}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{button}: nothing came of it");
}

async fn the_page_does_it_all(site: &Site) {
    site.newcomer("zineb@example.com").await;
    let authenticator = site.browser.authenticator(json!({})).await;
    site.browser.fill("input[name=server]", &site.base()).await;
    site.browser.fill("input[name=identifier]", "zineb@example.com").await;
    site.browser.fill("input[name=password]", "a wrong password").await;
    click(site, "signInWithPassword", "invalid_credentials: ").await;
    click(site, "add", "unauthenticated: ").await;
    site.browser.fill("input[name=password]", PASSWORD).await;
    click(site, "signInWithPassword", "You are signed in.").await;
    click(site, "add", "“This device” was added. Keep these codes: ").await;
    click(site, "add", "InvalidStateError: ").await;
    click(site, "reauthenticate", "It is you.").await;
    click(site, "signInWithPassword", "You are signed in.").await;
    click(site, "signIn", "You are signed in with a passkey.").await;
    let kept = authenticator.credentials().await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["signCount"], 4, "made, shown again, as a second factor, and alone");
    authenticator.unplug().await;
    site.browser.open(&site.origin).await;
}

async fn every_kind_of_key_and_of_authenticator_signs_in(site: &Site) {
    let built_in = json!({});
    let of_a_cloud = json!({"defaultBackupEligibility": true, "defaultBackupState": true});
    let plugged_in = json!({"transport": "usb", "protocol": "ctap2_1"});
    let expected = [
        (-7, "the best", &built_in),
        (-7, "synced", &of_a_cloud),
        (-7, "ES256", &plugged_in),
        (-8, "EdDSA", &built_in),
        (-257, "RS256", &built_in),
    ];
    for (number, (algorithm, name, properties)) in expected.into_iter().enumerate() {
        let user = site.newcomer(&format!("user{number}@example.com")).await;
        let authenticator = site.browser.authenticator(properties.clone()).await;
        let mut options = user.post(REGISTRATION, &json!({})).await.expect(201);
        if name != "the best" {
            let offered = options["pubKeyCredParams"].as_array_mut().unwrap();
            offered.retain(|one| one["alg"] == algorithm);
        }
        let passkey = site.call("create", json!([options])).await.unwrap();
        assert_eq!(passkey["response"]["publicKeyAlgorithm"], algorithm, "{name}");
        let data = passkey["response"]["authenticatorData"].as_str().unwrap();
        let flags = URL_SAFE_NO_PAD.decode(data).unwrap()[32];
        assert_eq!(flags & BACKED_UP, if name == "synced" { BACKED_UP } else { 0 }, "{name}");
        let body = json!({"name": name, "passkey": passkey});
        user.post(MINE, &body).await.expect(201);
        let tokens = site.sign_in().await.unwrap();
        let me = site.server.client.with_token(tokens["accessToken"].as_str().unwrap());
        let me = me.get("/api/v1/me").await.expect(200);
        assert_eq!(me["email"], format!("user{number}@example.com"), "{name}");
        assert_eq!(claims(&tokens)["amr"], json!(["swk", "user", "mfa"]));
        authenticator.unplug().await;
    }
}

async fn a_passkey_is_a_second_factor_and_shows_again_who_one_is(site: &Site) {
    let user = site.newcomer("hind@example.com").await;
    let authenticator = site.browser.authenticator(json!({})).await;
    let added = site.add(&user).await.unwrap();
    assert_eq!(added["recoveryCodes"].as_array().unwrap().len(), 10);
    let by_both = json!([site.base(), "hind@example.com", PASSWORD]);
    let tokens = site.call("signInWithPassword", by_both).await.unwrap();
    assert_eq!(claims(&tokens)["amr"], json!(["pwd", "swk", "user", "mfa"]));

    // Trust the device; a sign-in from it is not fresh.
    let client = &site.server.client;
    let log_in = json!({"identifier": "hind@example.com", "password": PASSWORD});
    let first = client.post("/api/v1/auth/login", &log_in).await.expect(200);
    let body = json!({"mfaToken": first["mfaToken"]});
    let options = client.post("/api/v1/auth/login/mfa/challenge", &body).await.expect(201);
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1);
    let passkey = site.call("show", json!([options])).await.unwrap();
    let body = json!({"mfaToken": first["mfaToken"], "passkey": passkey, "trustDevice": true});
    let trusted = client.post("/api/v1/auth/login/mfa", &body).await.expect(200);
    let mut log_in = log_in;
    log_in["deviceToken"] = trusted["deviceToken"].clone();
    let stale = async || {
        let tokens = client.post("/api/v1/auth/login", &log_in).await.expect(200);
        client.with_token(tokens["accessToken"].as_str().unwrap())
    };
    let (stale, other) = (stale().await, stale().await);
    let refused = stale.post(REGISTRATION, &json!({})).await.expect(401);
    assert_eq!(code(refused), "insufficient_user_authentication");

    // The page shows the passkey first and goes on, to where the authenticator has made one already.
    assert_eq!(site.add(&stale).await, Err("InvalidStateError".to_owned()));
    stale.get(MINE).await.expect(401);
    let fresh = site.call("reauthenticate", json!([site.base(), other.token()])).await.unwrap();
    let fresh = client.with_token(fresh["accessToken"].as_str().unwrap());
    authenticator.unplug().await;
    let second = site.browser.authenticator(json!({"transport": "usb"})).await;
    let added = site.add(&fresh).await.unwrap();
    assert_eq!(added["recoveryCodes"], Value::Null);
    assert_eq!(second.credentials().await.len(), 1);
    let listed = fresh.get(MINE).await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    second.unplug().await;
}

async fn an_authenticator_makes_one_passkey_for_an_account(site: &Site) {
    let user = site.newcomer("once@example.com").await;
    let authenticator = site.browser.authenticator(json!({})).await;
    site.add(&user).await.unwrap();
    assert_eq!(site.add(&user).await, Err("InvalidStateError".to_owned()));
    assert_eq!(authenticator.credentials().await.len(), 1);
    // Another account may have one on the same authenticator. Both are offered then.
    let other = site.newcomer("twice@example.com").await;
    site.add(&other).await.unwrap();
    assert_eq!(authenticator.credentials().await.len(), 2);
    // One that has none signs nobody in.
    authenticator.unplug().await;
    let empty = site.browser.authenticator(json!({})).await;
    assert_eq!(site.sign_in().await, Err("NotAllowedError".to_owned()));
    empty.unplug().await;
}

async fn users_must_be_verified(site: &Site) {
    let user = site.newcomer("verified@example.com").await;
    let authenticator = site.browser.authenticator(json!({})).await;
    authenticator.verify_users(false).await;
    assert_eq!(site.add(&user).await, Err("NotAllowedError".to_owned()));
    authenticator.unplug().await;
    // A page that does not ask for it gets a passkey, which is none for us.
    let unable = site.browser.authenticator(json!({"hasUserVerification": false})).await;
    assert_eq!(site.add(&user).await, Err("NotAllowedError".to_owned()));
    let unverified = |options: &mut Value| {
        options["authenticatorSelection"]["userVerification"] = "discouraged".into();
    };
    assert_eq!(site.refusal_of_new(&user, unverified).await, "passkey_refused");
    unable.unplug().await;

    let authenticator = site.browser.authenticator(json!({})).await;
    site.add(&user).await.unwrap();
    authenticator.verify_users(false).await;
    assert_eq!(site.sign_in().await, Err("NotAllowedError".to_owned()));
    let unverified = |options: &mut Value| options["userVerification"] = "discouraged".into();
    assert_eq!(site.refusal_of_shown(unverified).await, "invalid_passkey");
    authenticator.verify_users(true).await;
    site.sign_in().await.unwrap();
    authenticator.unplug().await;
}

async fn pages_of_other_origins_get_nothing(site: &Site) {
    let user = site.newcomer("elsewhere@example.com").await;
    let authenticator = site.browser.authenticator(json!({})).await;
    site.add(&user).await.unwrap();

    // For browsers the neighbour is of the same site; for us it is not.
    site.browser.open(&site.neighbour).await;
    assert_eq!(site.sign_in().await, Err("invalid_passkey".to_owned()));
    let other = site.newcomer("neighbour@example.com").await;
    assert_eq!(site.add(&other).await, Err("passkey_refused".to_owned()));
    assert_eq!(authenticator.credentials().await.len(), 1, "it forgot what was refused");

    // Our own page in a frame of the neighbour's, which lets it ask.
    let embed = "
        const frame = document.createElement('iframe');
        frame.allow = 'publickey-credentials-create *; publickey-credentials-get *';
        const loaded = new Promise((resolve) => frame.addEventListener('load', resolve));
        frame.src = arguments[0];
        document.body.append(frame);
        return loaded.then(() => null);";
    site.browser.run(embed, json!([site.origin])).await;
    site.browser.enter_frame(0).await;
    assert_eq!(site.sign_in().await, Err("invalid_passkey".to_owned()));

    // What the server answers to a stranger's page, the page does not get from the browser.
    site.browser.open(&site.stranger).await;
    assert_eq!(site.sign_in().await, Err("TypeError".to_owned()));

    // For browsers an address is no site at all.
    site.browser.open(&site.address).await;
    assert_eq!(site.sign_in().await, Err("SecurityError".to_owned()));
    assert_eq!(site.add(&other).await, Err("SecurityError".to_owned()));
    let listed = other.get(MINE).await.expect(200);
    assert_eq!(listed["items"], json!([]));

    site.browser.open(&site.origin).await;
    site.sign_in().await.unwrap();
    authenticator.unplug().await;
}

async fn a_copy_of_an_authenticator_is_found_out(site: &Site) {
    let user = site.newcomer("copied@example.com").await;
    let authenticator = site.browser.authenticator(json!({})).await;
    site.add(&user).await.unwrap();
    let copied = authenticator.credentials().await.remove(0);
    site.sign_in().await.unwrap();
    let original = authenticator.credentials().await.remove(0);
    authenticator.unplug().await;
    let with = async |credential: &Value| -> Authenticator<'_> {
        let authenticator = site.browser.authenticator(json!({})).await;
        authenticator.give(credential).await;
        authenticator
    };
    // It counts to where the original is, no further.
    let copy = with(&copied).await;
    assert_eq!(site.sign_in().await, Err("invalid_passkey".to_owned()));
    copy.unplug().await;
    let printed = site.server.printed();
    assert!(printed.contains("a passkey's counter went back"), "{printed}");
    // The original counts on.
    let authenticator = with(&original).await;
    site.sign_in().await.unwrap();
    authenticator.unplug().await;
}

async fn a_key_that_only_says_somebody_is_there_is_no_passkey(site: &Site) {
    let user = site.newcomer("old@example.com").await;
    let of_old = json!({
        "protocol": "ctap1/u2f", "transport": "usb", "hasResidentKey": false,
        "hasUserVerification": false,
    });
    let authenticator = site.browser.authenticator(of_old).await;
    assert_eq!(site.add(&user).await, Err("NotAllowedError".to_owned()));
    let anything = |options: &mut Value| {
        options["authenticatorSelection"] = json!({"userVerification": "discouraged"});
    };
    assert_eq!(site.refusal_of_new(&user, anything).await, "passkey_refused");
    authenticator.unplug().await;
}
