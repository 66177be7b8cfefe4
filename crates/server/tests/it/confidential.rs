//! Whatever people show and are given, the program prints none of it. Each server of these tests logs all that
//! it can and is searched at its end; this one meets all that is secret.

use crate::authorisation_matrix::app_code;
use crate::support::{ADMIN, FATIMA_PHONE, Server, World, id};
use hyper::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    nothing_that_people_show_or_are_given_is_printed,
}

const EMAIL: &str = "zineb.confidential@example.com";
const OTHER_EMAIL: &str = "zineb.elsewhere@example.com";
const PHONE: &str = "+212661918273";
const PASSWORD: &str = "a password of Zineb's";
const NEXT_PASSWORD: &str = "another password of Zineb's";
const LAST_PASSWORD: &str = "the last password of Zineb's";

async fn nothing_that_people_show_or_are_given_is_printed(database: TestDatabase) {
    let world = World::new(database);
    let mut command = world.command(&[]);
    command.env("FINITECH__REGISTRATION__TRUST_CONTACTS", "false");
    let server = Server::start(command).await;
    let (client, outbox) = (&server.client, world.data_dir().join("outbox"));
    let person = json!({
        "email": EMAIL, "phoneNumber": PHONE, "password": PASSWORD,
        "displayName": "Zineb Confidential",
    });
    client.post("/api/v1/auth/register", &person).await.expect(201);
    client.post("/api/v1/auth/register", &person).await.expect(409);
    let sign_in = |password: &str| json!({"identifier": EMAIL, "password": password});
    client.post("/api/v1/auth/login", &sign_in("a wrong password")).await.expect(401);
    for wrong in [
        json!({"identifier": EMAIL, "password": [PASSWORD]}),
        json!({"identifier": EMAIL, "password": PASSWORD, "deviceTokens": "a-device-of-zineb"}),
        json!([EMAIL, PASSWORD]),
    ] {
        client.post("/api/v1/auth/login", &wrong).await.expect(422);
    }
    let pair = client.post("/api/v1/auth/login", &sign_in(PASSWORD)).await.expect(200);
    let refresh = json!({"refreshToken": pair["refreshToken"]});
    let pair = client.post("/api/v1/auth/refresh", &refresh).await.expect(200);
    let zineb = client.with_token(text(&pair["accessToken"]));
    client.with_token(&format!("{}x", zineb.token())).get("/api/v1/me").await.expect(401);

    for contact in ["email", "phone"] {
        let path = format!("/api/v1/me/{contact}/verification");
        zineb.post(&path, &Value::Null).await.expect(202);
        let code = word(&outbox, &is_code).await;
        zineb.post(&format!("{path}/confirm"), &json!({"code": code})).await.expect(204);
    }
    let change = json!({"newEmail": OTHER_EMAIL, "password": PASSWORD});
    zineb.post("/api/v1/me/email/change", &change).await.expect(202);
    let code = word(&outbox, &is_code).await;
    let confirm = "/api/v1/me/email/change/confirm";
    zineb.post(confirm, &json!({"code": code})).await.expect(204);

    let change = json!({"currentPassword": PASSWORD, "newPassword": NEXT_PASSWORD});
    zineb.post("/api/v1/me/password", &change).await.expect(204);
    let forgotten = json!({"identifier": PHONE});
    clear(&outbox);
    client.post("/api/v1/auth/password-resets", &forgotten).await.expect(202);
    let token = word(&outbox, &|word| word.len() > 30).await;
    let complete = json!({"token": token, "newPassword": LAST_PASSWORD});
    client.post("/api/v1/auth/password-resets/complete", &complete).await.expect(204);

    let sign_in = json!({"identifier": PHONE, "password": LAST_PASSWORD});
    let pair = client.post("/api/v1/auth/login", &sign_in).await.expect(200);
    let zineb = client.with_token(text(&pair["accessToken"]));
    let begin = json!({"password": LAST_PASSWORD});
    let begun = zineb.post("/api/v1/me/mfa/totp", &begin).await.expect(201);
    let code = json!({"code": app_code(text(&begun["secret"]))});
    let codes = zineb.post("/api/v1/me/mfa/totp/confirm", &code).await.expect(200);
    let begun = client.post("/api/v1/auth/login", &sign_in).await.expect(200);
    let mut second = json!({"mfaToken": begun["mfaToken"], "code": "000000", "trustDevice": true});
    client.post("/api/v1/auth/login/mfa", &second).await.expect(401);
    second["code"] = codes["recoveryCodes"][0].clone();
    let pair = client.post("/api/v1/auth/login/mfa", &second).await.expect(200);
    let mut trusted = sign_in.clone();
    trusted["deviceToken"] = pair["deviceToken"].clone();
    let pair = client.post("/api/v1/auth/login", &trusted).await.expect(200);
    let refresh = json!({"refreshToken": pair["refreshToken"]});
    client.post("/api/v1/auth/refresh", &refresh).await.expect(200);

    let wallet = zineb.post("/api/v1/wallets", &json!({"currencies": ["MAD"]})).await;
    let path = format!("/api/v1/wallets/{}", id(&wallet.expect(201)));
    let money = json!({"amountMinorUnits": 500, "currencyCode": "MAD"});
    zineb.post_with_key(&format!("{path}/top-ups"), "top-up", &money).await.expect(201);
    let gift = json!({
        "to": {"phone": FATIMA_PHONE}, "amountMinorUnits": 500, "currencyCode": "MAD",
        "note": "for the operation on Tuesday",
    });
    zineb.post_with_key(&format!("{path}/transfers"), "gift", &gift).await.expect(201);

    let admin = client.signed_in(ADMIN).await;
    let found = json!({"identifier": OTHER_EMAIL});
    admin.post("/api/v1/admin/users/search", &found).await.expect(200);
    let partner = json!({"name": "Partner", "scopes": ["ledger:read"]});
    let partner = admin.post("/api/v1/admin/api-clients", &partner).await.expect(201);
    let secret = text(&partner["clientSecret"]);
    let grant =
        format!("grant_type=client_credentials&client_id={}&client_secret={secret}", id(&partner));
    client.post_form("/api/v1/oauth/token", grant.clone()).await.expect(200);
    client.post_form("/api/v1/oauth/token", format!("{grant}x")).await.expect(401);

    // What does not belong into an address is there by mistake, and goes no further.
    let mistake = format!("/api/v1/auth/login?password={}", PASSWORD.replace(' ', "+"));
    client.send(Method::GET, &mistake, &[], None).await.unwrap().expect(405);

    // Two hold that token, which is worth a warning.
    client.post("/api/v1/auth/refresh", &refresh).await.expect(401);

    let printed = server.printed();
    for told in [" DEBUG ", "identity.user_registered", " WARN ", "/api/v1/auth/refresh"] {
        assert!(printed.contains(told), "the log says something: {told}: {printed}");
    }
    assert!(!printed.contains("a+password+of+Zineb"), "a query is not printed");
    assert!(server.stop().await);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn is_code(word: &str) -> bool {
    word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Takes such a word out of the messages that were left; they come after the answers to requests.
async fn word(outbox: &Path, is_it: &dyn Fn(&str) -> bool) -> String {
    for _ in 0..500 {
        for entry in std::fs::read_dir(outbox).into_iter().flatten() {
            let message = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let mut words =
                message.split(|one: char| !one.is_ascii_alphanumeric() && one != '-' && one != '_');
            if let Some(word) = words.find(|word| is_it(word)) {
                crate::secrets::learn(word);
                let word = word.to_owned();
                clear(outbox);
                return word;
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no message came");
}

fn clear(outbox: &Path) {
    for entry in std::fs::read_dir(outbox).into_iter().flatten() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
}
