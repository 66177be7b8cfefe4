//! Two accounts and single transfers between them, for faults that are tried by hand.

use crate::place::Place;
use crate::process::Server;
use crate::wire::{Answer, Wire, session};
use anyhow::Context;
use serde_json::{Value, json};
use uuid::Uuid;

const FROM: Uuid = Uuid::from_u128(1);
const TO: Uuid = Uuid::from_u128(2);

/// A client of a running server.
pub(crate) struct Books {
    wire: Wire,
    base: String,
    token: String,
}

impl Books {
    /// Opens the accounts, or finds them.
    pub(crate) async fn of(server: &Server) -> anyhow::Result<Self> {
        let wire = Wire::new();
        let answer = wire.sign_in(&server.base).await;
        let answer = answer.map_err(|error| anyhow::anyhow!("signing in: {error:?}"))?;
        let (person, _) = session(&answer)?;
        let token = client_token(&wire, &server.base, &person).await?;
        let books = Self { wire, base: server.base.clone(), token };
        for id in [FROM, TO] {
            let constraint = json!({ "type": "unlimited" });
            let account = json!({ "id": id, "name": "Tried by hand", "currencyCode": "CHF",
                "normalSide": "debit", "constraint": constraint });
            let opened = books.send("/api/v1/ledger/accounts", Some(&account)).await?;
            anyhow::ensure!([200, 201].contains(&opened.status), "{opened:?}");
        }
        Ok(books)
    }

    pub(crate) async fn transfer(&self, id: u128) -> anyhow::Result<Answer> {
        let leg = |account, direction| {
            json!({ "accountId": account, "direction": direction, "amountMinorUnits": 1,
                "currencyCode": "CHF" })
        };
        let legs = [leg(FROM, "credit"), leg(TO, "debit")];
        let body = json!({ "id": Uuid::from_u128(id), "kind": "trial.transfer", "legs": legs });
        self.send("/api/v1/ledger/transactions", Some(&body)).await
    }

    pub(crate) async fn has(&self, id: u128) -> anyhow::Result<bool> {
        let path = format!("/api/v1/ledger/transactions/{}", Uuid::from_u128(id));
        let answer = self.send(&path, None).await?;
        match answer.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => anyhow::bail!("{answer:?}"),
        }
    }

    /// How many transfers there were.
    pub(crate) async fn balance(&self) -> anyhow::Result<i64> {
        let answer = self.send(&format!("/api/v1/ledger/accounts/{TO}"), None).await?;
        answer.body["balanceMinorUnits"].as_i64().with_context(|| format!("{answer:?}"))
    }

    async fn send(&self, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let answer = self.wire.send(&self.base, Some(&self.token), path, body).await;
        answer.map_err(|error| anyhow::anyhow!("no answer from {path}: {error:?}"))
    }
}

/// Done for good, now or before.
pub(crate) fn is_done(answer: &Answer) -> bool {
    answer.status == 201
}

/// The ledger must add up.
pub(crate) async fn verify(place: &Place) -> anyhow::Result<()> {
    let (is_sound, findings) = place.verify().await?;
    anyhow::ensure!(is_sound, "finitech ledger verify: {findings}");
    println!("  {}", findings.trim());
    Ok(())
}

/// Of a new API client. What a person does to the books is written down before, in another database: a fault
/// that is meant for the ledger would hit that one.
async fn client_token(wire: &Wire, base: &str, person: &str) -> anyhow::Result<String> {
    let client = json!({ "name": "Trial", "scopes": ["ledger:read", "ledger:write"] });
    let made = wire.send(base, Some(person), "/api/v1/admin/api-clients", Some(&client)).await;
    let made = made.map_err(|error| anyhow::anyhow!("making an API client: {error:?}"))?;
    let text = |answer: &Answer, name: &str| {
        let text = answer.body[name].as_str().map(str::to_owned);
        text.with_context(|| format!("no {name} in {answer:?}"))
    };
    let granted = wire.grant(base, &text(&made, "id")?, &text(&made, "clientSecret")?).await;
    let granted = granted.map_err(|error| anyhow::anyhow!("asking for a token: {error:?}"))?;
    text(&granted, "access_token")
}
