//! The binary as a child process, and a client for it.

use crate::secrets;
use harness::Setting;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::testing::TestDatabase;
use store::{Store, Target};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// Begins the line that says where plain HTTP is led to HTTPS.
const REDIRECTED: &str = "Redirected from: ";

pub(crate) const PASSWORD: &str = "demo-Finitech-1";
pub(crate) const AHMED: &str = "ahmed.benali@example.com";
pub(crate) const FATIMA: &str = "fatima.alami@example.com";
pub(crate) const FATIMA_PHONE: &str = "+212612345683";
pub(crate) const ADMIN: &str = "admin@example.com";

/// Where one world lives: a data folder, and a database if it is not SQLite.
pub(crate) struct World {
    database: TestDatabase,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(database: TestDatabase) -> Self {
        Self { database, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.database.postgres_url().is_some()
    }

    /// The program with this world's settings and nothing else from the environment. It logs all that it can,
    /// so that nothing that must not be printed goes unseen.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let setting = Setting {
            folder: self.folder.path(),
            data_dir: &self.data_dir(),
            database_url: self.database.postgres_url(),
            log_level: "trace",
        };
        let program = Path::new(env!("CARGO_BIN_EXE_finitech"));
        let mut command = Command::from(harness::command(program, setting));
        command
            .args(arguments)
            // Made quicker; how strong they are is not what these tests are about.
            .env("FINITECH__SIGNING_KEYS__RSA_BITS", "2048")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// The store of a module, as whoever has the database opens it.
    pub(crate) async fn store(&self, module: &'static str) -> Store {
        let target = match self.database.postgres_url() {
            Some(_) => self.database.target().clone(),
            None => Target::Sqlite { folder: self.data_dir() },
        };
        Store::open(module, &target).await.unwrap()
    }

    /// Runs a subcommand to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments)).await
    }

    /// Serves with the demo world.
    pub(crate) async fn serve(&self) -> Server {
        Server::start(self.command(&[])).await
    }

    /// The ledger must add up.
    pub(crate) async fn verify(&self) {
        let verified = self.run(&["ledger", "verify"]).await;
        assert!(verified.success, "{}{}", verified.stdout, verified.stderr);
    }
}

/// What a finished process left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) async fn finish(mut command: Command) -> Finished {
    let output = command.output().await.unwrap();
    let finished = Finished {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    secrets::learn_from_folder(&data_dir(&command));
    // Whoever gave a command may be told what they typed.
    let typed: Vec<&str> = command.as_std().get_args().filter_map(OsStr::to_str).collect();
    let untyped =
        |text: &str| typed.iter().fold(text.to_owned(), |text, word| text.replace(word, ""));
    secrets::assert_untold(&untyped(&finished.stdout));
    secrets::assert_untold(&untyped(&finished.stderr));
    finished
}

fn data_dir(command: &Command) -> PathBuf {
    let mut variables = command.as_std().get_envs();
    let (_, folder) = variables.find(|(name, _)| *name == "FINITECH__DATA_DIR").unwrap();
    folder.unwrap().into()
}

/// A serving process. What it printed is searched for secrets when it ends.
pub(crate) struct Server {
    child: Child,
    pub(crate) client: Client,
    /// The line that says it is ready.
    pub(crate) ready: String,
    printed: Arc<Mutex<String>>,
    reading: Vec<JoinHandle<()>>,
    data_dir: PathBuf,
}

impl Server {
    pub(crate) async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        if stdout.read_line(&mut ready).await.unwrap() == 0 {
            let mut stderr = String::new();
            child.stderr.take().unwrap().read_to_string(&mut stderr).await.unwrap();
            panic!("the server did not start: {stderr}");
        }
        // Both are read away, so that a chatty server is never stopped by a full pipe.
        let printed = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let reading = vec![
            tokio::spawn(keep(stdout, true, printed.clone())),
            tokio::spawn(keep(stderr, false, printed.clone())),
        ];
        let client = Client::new(harness::base_of(&ready).unwrap());
        let data_dir = data_dir(&command);
        Self { child, client, ready, printed, reading, data_dir }
    }

    /// What it printed so far.
    pub(crate) fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// Where it listens for plain HTTP to lead people to HTTPS.
    pub(crate) async fn redirected_from(&self) -> String {
        for _ in 0..500 {
            let printed = self.printed();
            let mut lines = printed.lines();
            if let Some(base) = lines.find_map(|line| line.trim().strip_prefix(REDIRECTED)) {
                return base.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no line says where it redirects from");
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.client.base.split('/').next_back().unwrap().parse().unwrap()
    }

    /// SIGKILL: no chance to clean up.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
        self.search().await;
    }

    /// Of a server that has ended: looks for secrets in what it printed to its very end.
    async fn search(&mut self) {
        for reading in self.reading.drain(..) {
            reading.await.unwrap();
        }
        secrets::learn_from_folder(&self.data_dir);
        secrets::assert_untold(&self.printed());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// SIGTERM, and whether the process then ended well.
    pub(crate) async fn stop(mut self) -> bool {
        self.signal("-TERM").await;
        let ended = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
        let status = ended.expect("the server stops").unwrap();
        self.search().await;
        status.success()
    }

    pub(crate) async fn signal(&self, signal: &str) {
        let mut kill = Command::from(harness::signal(signal, &[self.pid()]));
        assert!(kill.status().await.unwrap().success());
    }
}

/// Keeps lines, but for those that tell a newcomer how to sign in to the demo world, and shows what is wrong.
async fn keep(from: impl AsyncRead + Unpin, is_stdout: bool, printed: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let is_quiet = [" TRACE ", " DEBUG ", " INFO "].iter().any(|level| line.contains(level));
        let is_of_demo =
            is_stdout && line.starts_with("  ") && !line.trim_start().starts_with(REDIRECTED);
        if is_of_demo {
            continue;
        }
        if !is_quiet {
            eprintln!("server: {line}");
        }
        let mut printed = printed.lock().unwrap();
        printed.push_str(&line);
        printed.push('\n');
    }
}

/// An answer: status, headers, and body as JSON (`null` when empty).
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    /// Reads a response to its end.
    pub(crate) async fn read(response: Response<Incoming>) -> Result<Self, String> {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        secrets::learn_from_answer(&body);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self { status: parts.status.as_u16(), headers: parts.headers, body, text })
    }

    /// The body, if the status is as expected.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

/// A client of one server, as nobody or as somebody.
#[derive(Clone)]
pub(crate) struct Client {
    http: HyperClient<HttpConnector, Full<Bytes>>,
    base: String,
    token: Option<String>,
    /// Of every request.
    headers: &'static [(&'static str, &'static str)],
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        let http = HyperClient::builder(TokioExecutor::new()).build_http();
        Self { http, base: base.to_owned(), token: None, headers: &[] }
    }

    /// The same as if a proxy stood between, which was called over HTTPS.
    pub(crate) fn through_proxy(&self) -> Self {
        Self { headers: &[("x-forwarded-proto", "https")], ..self.clone() }
    }

    /// The access token of somebody who is signed in.
    pub(crate) fn token(&self) -> String {
        self.token.clone().unwrap()
    }

    /// Signed in with the demo password.
    pub(crate) async fn signed_in(&self, identifier: &str) -> Self {
        let body = json!({"identifier": identifier, "password": PASSWORD});
        let tokens = self.post("/api/v1/auth/login", &body).await.expect(200);
        self.with_token(tokens["accessToken"].as_str().unwrap())
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[], Some(body)).await.unwrap()
    }

    /// Posts a form instead of JSON.
    pub(crate) async fn post_form(&self, path: &str, form: String) -> Answer {
        self.post_form_with(path, form, &[]).await
    }

    /// The same, with headers.
    pub(crate) async fn post_form_with(
        &self,
        path: &str,
        form: String,
        headers: &[(&str, &str)],
    ) -> Answer {
        let media_type = "application/x-www-form-urlencoded";
        let mut request =
            Request::post(format!("{}{path}", self.base)).header("content-type", media_type);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let fields = form.split('&').filter_map(|field| field.split_once('='));
        fields
            .filter(|(name, _)| *name == "client_secret")
            .for_each(|(_, value)| secrets::learn(value));
        self.answer(request.body(Full::from(form)).unwrap()).await.unwrap()
    }

    pub(crate) async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.try_post_with_key(path, key, body).await.unwrap()
    }

    /// Fails when the server goes away.
    pub(crate) async fn try_post_with_key(
        &self,
        path: &str,
        key: &str,
        body: &Value,
    ) -> Result<Answer, String> {
        self.send(Method::POST, path, &[("idempotency-key", key)], Some(body)).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let json = [("content-type", "application/json")];
        let headers = [headers, if body.is_some() { &json } else { &[] }].concat();
        body.into_iter().for_each(secrets::learn_from_request);
        let body = body.map(Value::to_string).unwrap_or_default();
        self.send_text(method, path, &headers, &body).await
    }

    /// Sends a body that the headers say the type of.
    pub(crate) async fn send_text(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in self.headers.iter().chain(headers) {
            request = request.header(*name, *value);
        }
        self.answer(request.body(Full::from(body.to_owned())).unwrap()).await
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let response = self.http.request(request).await.map_err(|error| error.to_string())?;
        Answer::read(response).await
    }

    /// The caller's first wallet.
    pub(crate) async fn wallet(&self) -> Value {
        self.get("/api/v1/wallets").await.expect(200)["items"][0].clone()
    }

    /// What a wallet holds in a currency.
    pub(crate) async fn balance(&self, wallet: &Value, currency: &str) -> i64 {
        let path = format!("/api/v1/wallets/{}", wallet["id"].as_str().unwrap());
        balance(&self.get(&path).await.expect(200), currency)
    }
}

pub(crate) fn balance(wallet: &Value, currency: &str) -> i64 {
    let balances = wallet["balances"].as_array().unwrap();
    let one = balances.iter().find(|one| one["currencyCode"] == currency).unwrap();
    one["balanceMinorUnits"].as_i64().unwrap()
}

pub(crate) fn id(of: &Value) -> String {
    of["id"].as_str().unwrap().to_owned()
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        // Constants of Knuth's MMIX generator.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// Whether a file exists and only its owner may read it.
pub(crate) fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o077 == 0
}
