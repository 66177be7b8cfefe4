//! Signing keys in a hardware security module: SoftHSM, where `FINITECH_TEST_PKCS11_MODULE` names its
//! library.

use crate::support::{AHMED, Answer, PASSWORD, Server, World};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;
use tokio::process::Command;

store::on_every_store! {
    sessions_outlive_the_loss_of_the_module_and_sign_ins_come_back_with_it,
    processes_on_one_module_rotate_together_and_nobody_is_signed_out,
}

const PIN: &str = "fedora-tulip-1";

/// A world whose signing keys are in a token of its own.
struct Bank {
    world: World,
    module: String,
    /// Where the token's software, configuration and PIN are.
    folder: tempfile::TempDir,
}

impl Bank {
    #[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
    async fn new(database: TestDatabase) -> Option<Self> {
        let Ok(module) = std::env::var("FINITECH_TEST_PKCS11_MODULE") else {
            eprintln!("skipped: FINITECH_TEST_PKCS11_MODULE is not set");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let bank = Self { world: World::new(database), module, folder };
        std::fs::create_dir(bank.tokens()).unwrap();
        let conf = format!("directories.tokendir = {}\n", bank.tokens().display());
        std::fs::write(bank.conf(), conf).unwrap();
        let mut options = std::fs::OpenOptions::new();
        let mut pin = options.write(true).create_new(true).mode(0o600).open(bank.pin()).unwrap();
        std::io::Write::write_all(&mut pin, format!("{PIN}\n").as_bytes()).unwrap();
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", "bank", "--so-pin", "12345678"])
            .args(["--pin", PIN, "--module", &bank.module])
            .env("SOFTHSM2_CONF", bank.conf())
            .output();
        let made = made.await.unwrap();
        assert!(made.status.success(), "{made:?}");
        Some(bank)
    }

    fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    fn conf(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    fn pin(&self) -> PathBuf {
        self.folder.path().join("pin")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(arguments);
        command
            .env("SOFTHSM2_CONF", self.conf())
            .env("FINITECH__SIGNING_KEYS__SOURCE", "pkcs11")
            .env("FINITECH__SIGNING_KEYS__RSA_BITS", "2048")
            .env("FINITECH__PKCS11__MODULE", &self.module)
            .env("FINITECH__PKCS11__TOKEN_LABEL", "bank")
            .env("FINITECH__PKCS11__PIN_FILE", self.pin());
        command
    }

    /// As if the keys' rows had been written that much earlier.
    async fn age(&self, column: &str, by: Duration) {
        let store = self.world.store("identity").await;
        let tx = store.begin().await.unwrap();
        let micros = by.as_micros();
        let sql = format!("update signing_keys set {column} = {column} - {micros}");
        tx.execute_unprepared(&sql).await.unwrap();
        tx.commit().await.unwrap();
        store.close().await.unwrap();
    }
}

async fn log_in(server: &Server) -> Answer {
    let body = json!({"identifier": AHMED, "password": PASSWORD});
    server.client.post("/api/v1/auth/login", &body).await
}

async fn refresh(server: &Server, tokens: &Value) -> Answer {
    let body = json!({ "refreshToken": tokens["refreshToken"] });
    server.client.post("/api/v1/auth/refresh", &body).await
}

async fn me(server: &Server, tokens: &Value) -> u16 {
    let token = tokens["accessToken"].as_str().unwrap();
    server.client.with_token(token).get("/api/v1/me").await.status
}

fn kid(tokens: &Value) -> String {
    let token = tokens["accessToken"].as_str().unwrap();
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

async fn kids(server: &Server) -> Vec<String> {
    let jwks = server.client.get("/.well-known/jwks.json").await.expect(200);
    let keys = jwks["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn eventually(what: &str, happened: impl AsyncFn() -> bool) {
    for _ in 0..150 {
        if happened().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{what} did not happen");
}

async fn sessions_outlive_the_loss_of_the_module_and_sign_ins_come_back_with_it(
    database: TestDatabase,
) {
    let Some(bank) = Bank::new(database).await else { return };
    let server = Server::start(bank.command(&[])).await;
    let tokens = log_in(&server).await.expect(200);
    assert_eq!(kids(&server).await, [kid(&tokens)]);
    assert!(!bank.world.data_dir().join("keys/signing-key.pem").exists());
    server.client.get("/health/ready").await.expect(200);

    let away = bank.folder.path().join("away");
    std::fs::rename(bank.tokens(), &away).unwrap();
    let is_noticed = async || server.client.get("/health/ready").await.status == 503;
    eventually("noticing that the module is away", is_noticed).await;
    let ready = server.client.get("/health/ready").await.expect(503);
    assert_eq!(ready["code"], "not_ready");
    assert_eq!(ready["signingKeys"], "does not answer");
    assert_eq!(ready["stores"]["identity"], "ok");
    for refused in [log_in(&server).await, refresh(&server, &tokens).await] {
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(refused.expect(503)["code"], "signing_unavailable");
    }
    assert_eq!(me(&server, &tokens).await, 200, "checking needs no private key");
    let rotated = crate::support::finish(bank.command(&["keys", "rotate"])).await;
    assert!(!rotated.success);
    assert!(rotated.stderr.contains("the signing keys cannot be used now"), "{rotated:?}");
    assert!(!rotated.stderr.contains(PIN), "{rotated:?}");

    std::fs::rename(&away, bank.tokens()).unwrap();
    let is_back = async || server.client.get("/health/ready").await.status == 200;
    eventually("readiness", is_back).await;
    let again = log_in(&server).await.expect(200);
    assert_eq!(kid(&again), kid(&tokens));
    let refreshed = refresh(&server, &tokens).await.expect(200);
    assert_eq!(me(&server, &refreshed).await, 200, "nothing was spent meanwhile");
    assert!(server.stop().await);
}

async fn processes_on_one_module_rotate_together_and_nobody_is_signed_out(database: TestDatabase) {
    let Some(bank) = Bank::new(database).await else { return };
    let mut servers = vec![Server::start(bank.command(&[])).await];
    // An embedded database belongs to one process.
    if bank.world.is_postgres() {
        let mut command = bank.command(&[]);
        command.env("FINITECH__DATA_DIR", bank.world.data_dir().join("second"));
        command.env("FINITECH__DATA_KEYS__FILE", bank.world.data_dir().join("keys/data-keys"));
        servers.push(Server::start(command).await);
    }
    let before = log_in(&servers[0]).await.expect(200);
    let first = kid(&before);
    for server in &servers {
        assert_eq!(kid(&log_in(server).await.expect(200)), first, "the module is shared");
    }
    let rotated = crate::support::finish(bank.command(&["keys", "rotate"])).await;
    assert!(rotated.success, "{rotated:?}");
    let second = rotated.stdout.split(' ').nth(1).unwrap().to_owned();
    let during = log_in(&servers[0]).await.expect(200);
    assert_eq!(kid(&during), first, "not before its time");

    bank.age("created_at", Duration::from_mins(2)).await;
    for server in &servers {
        let goes_over = async || kid(&log_in(server).await.expect(200)) == second;
        eventually("signing with the next key", goes_over).await;
    }
    let after = refresh(&servers[0], &during).await.expect(200);
    assert_eq!(kid(&after), second);
    for server in &servers {
        for tokens in [&before, &during, &after] {
            assert_eq!(me(server, tokens).await, 200);
        }
    }
    bank.age("retired_at", Duration::from_mins(17)).await;
    let is_over = async || kids(&servers[0]).await == [second.clone()];
    eventually("the end of the first key", is_over).await;

    // The schedule does the same, once for all of them.
    bank.age("created_at", Duration::from_hours(90 * 24)).await;
    let is_made = async || kids(&servers[0]).await.len() == 2;
    eventually("the scheduled key", is_made).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(kids(&servers[0]).await.len(), 2);
    bank.age("created_at", Duration::from_mins(2)).await;
    for server in &servers {
        let goes_over = async || kid(&log_in(server).await.expect(200)) != second;
        eventually("signing with the scheduled key", goes_over).await;
        assert_eq!(me(server, &after).await, 200);
    }
    for server in servers {
        assert!(server.stop().await);
    }
}
