//! Which passwords people get, wherever one is set.

use crate::support::{Answer, CHEAP, PASSWORD, Process, amina, clock};
use async_trait::async_trait;
use identity::Config;
use ports::{Breaches, BreachesError};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use store::testing::TestDatabase;

store::on_every_store! {
    guessable_passwords_are_refused_wherever_one_is_set,
    breached_passwords_are_refused_wherever_one_is_set,
    what_cannot_be_checked_is_accepted_unless_the_operator_says_otherwise,
}

const GOOD: &str = "another demo password";

/// Knows one password, or cannot be reached; and what it was asked.
#[derive(Default)]
struct Known {
    password: Option<&'static str>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Breaches for Known {
    async fn have(&self, password: &SecretString) -> Result<bool, BreachesError> {
        self.asked.lock().unwrap().push(password.expose_secret().to_owned());
        let known = self.password.ok_or_else(|| BreachesError("the answer was 503".to_owned()))?;
        Ok(password.expose_secret() == known)
    }
}

/// Sets a password in each of the three ways; they are told of by their pointers.
struct Ways {
    process: Process,
    access: String,
    token: String,
}

impl Ways {
    async fn new(process: Process) -> Self {
        process.verified_amina().await;
        let (access, _) = process.log_in("amina@example.com", PASSWORD).await.tokens();
        process.identity.begin_password_reset("amina@example.com").unwrap();
        let (_, text) = process.messages.next().await;
        let token = text.lines().find(|line| line.len() == 43).expect("a token").to_owned();
        Self { process, access, token }
    }

    async fn register(&self, password: &str) -> Answer {
        let salma = json!({
            "email": "salma@example.com",
            "phoneNumber": "+212661554433",
            "password": password,
            "displayName": "Salma Idrissi",
        });
        self.process.post("/api/v1/auth/register", salma).await
    }

    async fn change(&self, password: &str) -> Answer {
        let body = json!({ "currentPassword": PASSWORD, "newPassword": password });
        self.process.post_as(&self.access, "/api/v1/me/password", body).await
    }

    async fn reset(&self, password: &str) -> Answer {
        let body = json!({ "token": self.token, "newPassword": password });
        self.process.post("/api/v1/auth/password-resets/complete", body).await
    }
}

async fn guessable_passwords_are_refused_wherever_one_is_set(database: TestDatabase) {
    let config = Config {
        password_hash: CHEAP,
        context_words: vec!["Banque Zellige".to_owned()],
        ..Config::default()
    };
    let ways = Ways::new(Process::start_configured(&database, &clock(), config).await).await;
    for weak in ["qwertyuiop", "Finitech2026!", "banquezellige1", "zellige+2026"] {
        for (answer, pointer) in [
            (ways.register(weak).await, "/password"),
            (ways.change(weak).await, "/newPassword"),
            (ways.reset(weak).await, "/newPassword"),
        ] {
            assert_eq!(answer.problem(), (422, "validation_failed"), "{weak}");
            assert_eq!(answer.pointers(), [pointer], "{weak}");
            let told = answer.body["errors"][0]["detail"].as_str().unwrap();
            assert!(told.contains("four words"), "{told}");
            assert!(!answer.body.to_string().contains(weak), "{}", answer.body);
        }
    }
    // What is theirs is refused to them alone.
    assert_eq!(ways.register("Salma-Idrissi").await.pointers(), ["/password"]);
    assert_eq!(ways.change("AminaElIdrissi1").await.pointers(), ["/newPassword"]);
    assert_eq!(ways.register("a plum, a tiger").await.body["email"], "salma@example.com");
    assert_eq!(ways.change(GOOD).await.body, Value::Null);
    ways.process.log_in(&amina().email, GOOD).await.tokens();
}

const BREACHED: &str = "a lemon, a pelican";

async fn breached_passwords_are_refused_wherever_one_is_set(database: TestDatabase) {
    let known = Arc::new(Known { password: Some(BREACHED), ..Known::default() });
    let config = Config { password_hash: CHEAP, ..Config::default() };
    let process = Process::start_asking(&database, &clock(), config, Some(known.clone())).await;
    let ways = Ways::new(process).await;
    known.asked.lock().unwrap().clear();
    for (answer, pointer) in [
        (ways.register(BREACHED).await, "/password"),
        (ways.change(BREACHED).await, "/newPassword"),
        (ways.reset(BREACHED).await, "/newPassword"),
    ] {
        assert_eq!(answer.problem(), (422, "validation_failed"));
        assert_eq!(answer.pointers(), [pointer]);
        let told = answer.body["errors"][0]["detail"].as_str().unwrap();
        assert!(told.contains("stolen") && !told.contains(BREACHED), "{told}");
    }
    assert_eq!(*known.asked.lock().unwrap(), [BREACHED; 3]);
    // What is refused anyway is asked about nowhere, and neither is who signs in.
    known.asked.lock().unwrap().clear();
    assert_eq!(ways.register("qwertyuiop").await.status, 422);
    assert_eq!(ways.register("short").await.status, 422);
    ways.process.log_in(&amina().email, PASSWORD).await.tokens();
    assert!(known.asked.lock().unwrap().is_empty());
    assert_eq!(ways.register("a plum, a tiger").await.status, 201);
    assert_eq!(ways.reset(GOOD).await.status, 204);
    ways.process.log_in(&amina().email, GOOD).await.tokens();
}

async fn what_cannot_be_checked_is_accepted_unless_the_operator_says_otherwise(
    database: TestDatabase,
) {
    let away: Option<Arc<dyn Breaches>> = Some(Arc::new(Known::default()));
    let accepting = Config { password_hash: CHEAP, ..Config::default() };
    let process = Process::start_asking(&database, &clock(), accepting.clone(), away.clone()).await;
    let ways = Ways::new(process).await;
    let refusing = Config { accept_unchecked_passwords: false, ..accepting };
    let strict = Process::start_asking(&database, &clock(), refusing, away).await;
    let (access, _) = strict.log_in(&amina().email, PASSWORD).await.tokens();
    let strict = Ways { process: strict, access, token: ways.token.clone() };
    for answer in [strict.register(GOOD).await, strict.change(GOOD).await, strict.reset(GOOD).await]
    {
        assert_eq!(answer.problem(), (503, "password_not_checked"));
        assert!(answer.headers.contains_key("retry-after"));
    }
    // Nothing was spent: the token still counts, and nobody has the contacts.
    assert_eq!(ways.register(GOOD).await.status, 201);
    assert_eq!(ways.change("a plum, a tiger").await.status, 204);
    // That took the token as well.
    assert_eq!(ways.reset(GOOD).await.problem(), (422, "invalid_reset_token"));
}
