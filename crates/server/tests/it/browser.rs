//! A real browser without a window, driven over W3C WebDriver, with the virtual authenticators that W3C Web
//! Authentication adds to it (section 11).

use crate::support::Client;
use hyper::Method;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// What the driver says before the number of its port.
const LISTENS: &str = "started successfully on port ";

/// A browser with one window. It ends with its driver, and both with this.
pub(crate) struct Browser {
    driver: Child,
    client: Client,
    session: String,
    /// Read no more, and open, so that the driver can write on.
    _printed: Lines<BufReader<ChildStdout>>,
    /// The home of both, where the browser has its profile. It goes last.
    home: TempDir,
}

/// What authenticates a user, plugged in or built in.
pub(crate) struct Authenticator<'a> {
    browser: &'a Browser,
    path: String,
}

impl Browser {
    /// With the driver that `FINITECH_TEST_CHROMEDRIVER` names; without it there is none.
    #[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
    pub(crate) async fn start() -> Option<Self> {
        let Ok(driver) = std::env::var("FINITECH_TEST_CHROMEDRIVER") else {
            eprintln!("skipped: FINITECH_TEST_CHROMEDRIVER is not set");
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut printed = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = printed.next_line().await.unwrap().expect("the driver starts");
            if let Some((_, port)) = line.split_once(LISTENS) {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let client = Client::new(&format!("http://127.0.0.1:{port}"));
        // Over a pipe, so that the browser goes when its driver goes, however that is.
        let mut arguments = vec!["--headless=new", "--remote-debugging-pipe", "--disable-gpu"];
        // Containers have little shared memory, and root no sandbox.
        arguments.push("--disable-dev-shm-usage");
        if home.path().metadata().unwrap().uid() == 0 {
            arguments.push("--no-sandbox");
        }
        // A machine with much to do takes long to make recovery codes.
        let wanted = json!({
            "browserName": "chrome", "goog:chromeOptions": {"args": arguments},
            "timeouts": {"script": 120_000},
        });
        let wanted = json!({"capabilities": {"alwaysMatch": wanted}});
        let session = client.post("/session", &wanted).await.expect(200);
        let session = format!("/session/{}", session["value"]["sessionId"].as_str().unwrap());
        Some(Self { driver, client, session, _printed: printed, home })
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let path = format!("{}{path}", self.session);
        let answer = self.client.send(method, &path, &[], body.as_ref()).await.unwrap();
        answer.expect(200)["value"].take()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Goes to a page.
    pub(crate) async fn open(&self, page: &str) {
        self.post("/url", json!({ "url": page })).await;
    }

    /// Runs the body of a function in the page, and waits for what it promises.
    pub(crate) async fn run(&self, script: &str, arguments: Value) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": arguments })).await
    }

    async fn element(&self, selector: &str) -> String {
        let found = json!({"using": "css selector", "value": selector});
        let found = self.post("/element", found).await;
        let (_, id) = found.as_object().unwrap().iter().next().unwrap();
        format!("/element/{}", id.as_str().unwrap())
    }

    /// Types over what stands in a field.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let field = self.element(selector).await;
        self.post(&format!("{field}/clear"), json!({})).await;
        self.post(&format!("{field}/value"), json!({ "text": text })).await;
    }

    /// Clicks as a user does.
    pub(crate) async fn click(&self, selector: &str) {
        let button = self.element(selector).await;
        self.post(&format!("{button}/click"), json!({})).await;
    }

    /// What an element shows.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let path = format!("{}/text", self.element(selector).await);
        self.send(Method::GET, &path, None).await.as_str().unwrap().to_owned()
    }

    /// What runs from now on runs in this frame of the page.
    pub(crate) async fn enter_frame(&self, number: usize) {
        self.post("/frame", json!({ "id": number })).await;
    }

    /// Plugs an authenticator in: one that is built into the device, keeps passkeys and verifies its user, but
    /// for what is said otherwise.
    pub(crate) async fn authenticator(&self, otherwise: Value) -> Authenticator<'_> {
        let mut properties = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserConsenting": true, "isUserVerified": true,
        });
        for (name, value) in otherwise.as_object().unwrap() {
            properties[name] = value.clone();
        }
        let id = self.post("/webauthn/authenticator", properties).await;
        let path = format!("/webauthn/authenticator/{}", id.as_str().unwrap());
        Authenticator { browser: self, path }
    }

    /// Closes the window, ends the driver, and leaves nothing behind.
    pub(crate) async fn end(mut self) {
        self.send(Method::DELETE, "", None).await;
        self.driver.kill().await.unwrap();
        self.home.close().unwrap();
    }
}

impl Authenticator<'_> {
    /// The credentials that it keeps, with their private keys.
    pub(crate) async fn credentials(&self) -> Vec<Value> {
        let path = format!("{}/credentials", self.path);
        let found = self.browser.send(Method::GET, &path, None).await;
        serde_json::from_value(found).unwrap()
    }

    /// Gives it a credential, with its private key.
    pub(crate) async fn give(&self, credential: &Value) {
        self.browser.post(&format!("{}/credential", self.path), credential.clone()).await;
    }

    /// Whether the user passes from now on when they are to be verified.
    pub(crate) async fn verify_users(&self, verify: bool) {
        let path = format!("{}/uv", self.path);
        self.browser.post(&path, json!({ "isUserVerified": verify })).await;
    }

    /// Takes it out, with all that it keeps.
    pub(crate) async fn unplug(self) {
        self.browser.send(Method::DELETE, &self.path, None).await;
    }
}
