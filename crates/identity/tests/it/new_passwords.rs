//! Which passwords people get, wherever one is set.

use crate::support::{Answer, CHEAP, PASSWORD, Process, amina, clock};
use identity::Config;
use serde_json::{Value, json};
use store::testing::TestDatabase;

store::on_every_store! {
    guessable_passwords_are_refused_wherever_one_is_set,
}

const GOOD: &str = "another demo password";

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
