//! Every operation of the OpenAPI document against everybody who might call it. What is expected
//! follows from the permission that the document declares, and from what each actor holds.

use crate::support::{
    ADMIN, AHMED, Answer, Client, FATIMA, FATIMA_PHONE, PASSWORD, Server, World, id,
};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Method;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use store::testing::TestDatabase;

const NOWHERE: &str = "0199c0de-0000-7000-8000-000000000000";
const LOG_OUT: &str = "/api/v1/auth/logout";

/// What each role of the system permits.
const ROLES: [(&str, &[&str]); 8] = [
    ("Customer", &["wallet:read", "wallet:write"]),
    ("Merchant", &["wallet:read", "wallet:write"]),
    ("Agent", &[]),
    ("Support", &["users:read", "factors:reset"]),
    (
        "Compliance",
        &[
            "users:read",
            "users:write",
            "factors:reset",
            "audit:read",
            "approvals:read",
            "approvals:write",
        ],
    ),
    ("Auditor", &["ledger:read", "audit:read"]),
    (
        "Admin",
        &[
            "wallet:read",
            "wallet:write",
            "ledger:read",
            "ledger:write",
            "users:read",
            "users:write",
            "factors:reset",
            "audit:read",
            "clients:read",
            "clients:write",
            "roles:read",
            "roles:write",
            "approvals:read",
            "approvals:write",
            "cards:tokenize",
            "cards:delete",
        ],
    ),
    (CARD_OFFICER, &["cards:detokenize"]),
];

/// The role that no administrator gives.
const CARD_OFFICER: &str = "CardOfficer";

/// What can be the scope of an API client.
const SCOPES: [&str; 5] =
    ["ledger:read", "ledger:write", "users:read", "audit:read", "cards:tokenize"];

/// Who calls, and what they hold.
struct Caller {
    name: String,
    client: Client,
    permissions: Vec<&'static str>,
    is_person: bool,
}

/// An operation of the document.
struct Operation {
    method: String,
    path: String,
    /// `None` for everybody, empty for anybody who is signed in.
    permission: Option<String>,
    is_open_to_api_clients: bool,
}

/// The server with a person for each role and a client for each scope.
struct Bank {
    server: Server,
    admin: Client,
    operations: Vec<Operation>,
    world: World,
}

impl Bank {
    async fn open() -> Self {
        let world = World::new(TestDatabase::sqlite());
        let mut command = world.command(&[]);
        command.env("FINITECH__STAFF__FOUR_EYES", "false");
        let server = Server::start(command).await;
        let admin = server.client.signed_in(ADMIN).await;
        let document = server.client.get("/openapi.json").await.expect(200);
        let operations = web::openapi::operations(&document).into_iter();
        let operations = operations.map(|(method, path, operation)| {
            let permission = web::openapi::required_permissions(operation).collect::<Vec<_>>();
            assert!(permission.len() < 2, "{method} {path}");
            let ways = operation["security"].as_array().into_iter().flatten();
            Operation {
                permission: operation.get("security").map(|_| permission.concat()),
                is_open_to_api_clients: ways.clone().any(|way| way.get("apiClient").is_some()),
                method,
                path,
            }
        });
        let mut operations: Vec<_> = operations.collect();
        // After this one there is nobody to call the others.
        operations.sort_by_key(|operation| operation.path == LOG_OUT);
        assert!(operations.len() > 60, "the document is read");
        Self { admin, operations, world, server }
    }

    /// Somebody who has one role and no other.
    async fn person(&self, number: usize, role: &'static str) -> Client {
        let email = format!("{}@people.example.com", role.to_lowercase());
        let body = json!({
            "email": email,
            "phoneNumber": format!("+21261200000{number}"),
            "password": PASSWORD,
            "displayName": format!("{role} of the Matrix"),
        });
        let user = self.server.client.post("/api/v1/auth/register", &body).await.expect(201);
        let roles = format!("/api/v1/admin/users/{}/roles", id(&user));
        if role == CARD_OFFICER {
            let mut grant = self.world.command(&["user", "grant", &email, role]);
            assert!(grant.output().await.unwrap().status.success());
        } else if role != "Customer" {
            let body = json!({"role": role, "reason": "a test"});
            self.admin.post(&roles, &body).await.expect(200);
        }
        if role != "Customer" {
            self.admin.post(&format!("{roles}/Customer/take"), &json!({})).await.expect(200);
        }
        let held = self.admin.get(&roles).await.expect(200);
        assert_eq!(held["items"].as_array().unwrap().len(), 1);
        self.server.client.signed_in(&email).await
    }

    /// A client with one scope: its id and itself.
    async fn api_client(&self, scope: &str) -> (String, Client) {
        let body = json!({"name": scope, "scopes": [scope]});
        let made = self.admin.post("/api/v1/admin/api-clients", &body).await.expect(201);
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            id(&made),
            made["clientSecret"].as_str().unwrap()
        );
        let token = self.server.client.post_form("/api/v1/oauth/token", form).await.expect(200);
        let token = token["access_token"].as_str().unwrap();
        (id(&made), self.server.client.with_token(token))
    }

    async fn callers(&self) -> Vec<Caller> {
        let mut callers = Vec::new();
        for (number, (role, permissions)) in ROLES.into_iter().enumerate() {
            let client = self.person(number, role).await;
            let permissions = permissions.to_vec();
            callers.push(Caller { name: role.to_owned(), client, permissions, is_person: true });
        }
        for scope in SCOPES {
            let (_, client) = self.api_client(scope).await;
            let (name, permissions) = (format!("API client {scope}"), vec![scope]);
            callers.push(Caller { name, client, permissions, is_person: false });
        }
        callers
    }
}

/// Calls an operation about something that does not exist, with a body that says nothing.
async fn call(client: &Client, operation: &Operation) -> Answer {
    let mut path = operation.path.clone();
    for (parameter, value) in [("{id}", NOWHERE), ("{name}", "Nobody"), ("{role}", "Nobody")] {
        path = path.replace(parameter, value);
    }
    assert!(!path.contains('{'), "{path} has a parameter that this test does not know");
    call_at(client, operation, &path, &json!({})).await
}

async fn call_at(client: &Client, operation: &Operation, path: &str, body: &Value) -> Answer {
    let body = (operation.method != "GET").then_some(body);
    let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
    client.send(method, path, &[("idempotency-key", "k")], body).await.unwrap()
}

/// Whether the answer is about who calls, and not about what they ask for.
fn refusal(answer: &Answer) -> Option<u16> {
    let code = answer.body["code"].as_str().unwrap_or_default();
    ["unauthenticated", "forbidden"].contains(&code).then_some(answer.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_as_far_as_their_permissions_and_no_further() {
    let bank = Bank::open().await;
    let callers = bank.callers().await;
    let mut checked = 0;
    for operation in &bank.operations {
        let what = format!("{} {}", operation.method, operation.path);
        let expected = operation.permission.as_ref().map(|_| 401);
        let answer = call(&bank.server.client, operation).await;
        assert_eq!(refusal(&answer), expected, "nobody: {what}: {}", answer.body);
        for caller in &callers {
            let expected = match operation.permission.as_deref() {
                None => None,
                Some("") => (!caller.is_person).then_some(403),
                Some(needed) => (!caller.permissions.contains(&needed)).then_some(403),
            };
            if !caller.is_person {
                let is_open = operation.is_open_to_api_clients;
                let can = operation.permission.as_deref().is_some_and(|one| SCOPES.contains(&one));
                assert_eq!(is_open, can, "{what}: the document tells who may call");
            }
            let answer = call(&caller.client, operation).await;
            assert_eq!(refusal(&answer), expected, "{}: {what}: {}", caller.name, answer.body);
            assert!(answer.status < 500, "{}: {what}: {}", caller.name, answer.body);
            checked += 1;
        }
    }
    assert!(checked > 700, "{checked}");
    assert!(bank.server.stop().await);
}

/// The claims of a token.
fn claims(token: &str) -> Value {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_takes_a_token_that_does_not_count() {
    let bank = Bank::open().await;
    // Whoever may do everything, so that nothing but the token can be what is refused.
    let good = bank.admin.token();
    let parts: Vec<&str> = good.split('.').collect();
    let keys = bank.server.client.get("/.well-known/jwks.json").await.expect(200);
    let key = &keys["keys"][0];
    let kid = key["kid"].as_str().unwrap().to_owned();
    let pem = std::fs::read(bank.world.data_dir().join("keys/signing-key.pem")).unwrap();
    let own = EncodingKey::from_rsa_pem(&pem).unwrap();
    let other = World::new(TestDatabase::sqlite());
    let _other = Server::start(other.command(&["--no-demo"])).await;
    let other_pem = std::fs::read(other.data_dir().join("keys/signing-key.pem")).unwrap();
    let foreign = EncodingKey::from_rsa_pem(&other_pem).unwrap();
    let rs256 = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::RS256) };
    let hs256 = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::HS256) };
    let with = |name: &str, value: Value| {
        let mut claims = claims(&good);
        claims[name] = value;
        encode(&rs256, &claims, &own).unwrap()
    };
    let now = claims(&good)["iat"].as_i64().unwrap();
    let base64 = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = base64(&json!({"alg": "none", "typ": "JWT", "kid": kid}));
    let confused =
        |secret: &[u8]| encode(&hs256, &claims(&good), &EncodingKey::from_secret(secret)).unwrap();
    let mut promoted = claims(&bank.server.client.signed_in(AHMED).await.token());
    promoted["permissions"] = claims(&good)["permissions"].clone();
    let modulus = key["n"].as_str().unwrap();
    let signed_out = bank.server.client.signed_in(ADMIN).await;
    signed_out.post(LOG_OUT, &json!({})).await.expect(204);
    let (client_id, client) = bank.api_client("ledger:read").await;
    let revoke = format!("/api/v1/admin/api-clients/{client_id}/revoke");
    bank.admin.post(&revoke, &json!({"reason": "a test"})).await.expect(200);
    let demoted = bank.person(1, "Auditor").await;
    let user = claims(&demoted.token())["sub"].as_str().unwrap().to_owned();
    let take = format!("/api/v1/admin/users/{user}/roles/Auditor/take");
    bank.admin.post(&take, &json!({})).await.expect(200);
    // The recipe is right; each of the following differs from it in one thing.
    let recipe = encode(&rs256, &claims(&good), &own).unwrap();
    bank.server.client.with_token(&recipe).get("/api/v1/me").await.expect(200);
    let bad = [
        ("expired", with("exp", json!(now - 1))),
        ("not yet", with("nbf", json!(now + 3_600))),
        ("wrong audience", with("aud", json!("Finitech.Partners"))),
        ("wrong issuer", with("iss", json!("Elsewhere"))),
        ("signed out", signed_out.token()),
        ("revoked API client", client.token()),
        ("role taken", demoted.token()),
        ("alg none", format!("{none}.{}.", parts[1])),
        ("alg none, signed", format!("{none}.{}.{}", parts[1], parts[2])),
        ("key confusion, modulus", confused(modulus.as_bytes())),
        ("key confusion, modulus decoded", confused(&URL_SAFE_NO_PAD.decode(modulus).unwrap())),
        ("key confusion, JWK", confused(key.to_string().as_bytes())),
        ("another key", encode(&rs256, &claims(&good), &foreign).unwrap()),
        ("tampered", format!("{}.{}.{}", parts[0], base64(&promoted), parts[2])),
        ("signature cut off", format!("{}.{}.", parts[0], parts[1])),
    ];
    for operation in &bank.operations {
        let what = format!("{} {}", operation.method, operation.path);
        let public = operation.permission.is_none();
        let without = call(&bank.server.client, operation).await;
        for (kind, token) in &bad {
            let answer = call(&bank.server.client.with_token(token), operation).await;
            let expected = (!public).then_some(401);
            assert_eq!(refusal(&answer), expected, "{kind}: {what}: {}", answer.body);
            if public && operation.path != "/api/v1/oauth/token" {
                assert_eq!(answer.status, without.status, "{kind}: {what}: it is not looked at");
            }
        }
    }
    assert!(bank.server.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_somebody_else_is_not_there() {
    let bank = Bank::open().await;
    let (ahmed, fatima) =
        (bank.server.client.signed_in(AHMED).await, bank.server.client.signed_in(FATIMA).await);
    let wallet = id(&fatima.wallet().await);
    let sessions = fatima.get("/api/v1/me/sessions").await.expect(200);
    let session = id(&sessions["items"][0]);
    let device = trusted_device(&fatima).await;
    let passkey = passkey(&fatima).await;
    let transfer = json!({
        "amountMinorUnits": 100, "currencyCode": "MAD", "to": {"phone": FATIMA_PHONE},
    });
    let top_up = json!({"amountMinorUnits": 100, "currencyCode": "MAD"});
    let name = json!({"name": "Mine"});
    let before = fatima.wallet().await;
    let mut checked = 0;
    for operation in &bank.operations {
        // What staff may see is everybody's; the rest is somebody's own.
        let is_own = match operation.permission.as_deref() {
            Some(permission) => permission.is_empty() || permission.starts_with("wallet:"),
            None => false,
        };
        if !is_own || !operation.path.contains('{') {
            continue;
        }
        let theirs = match operation.path.as_str() {
            path if path.starts_with("/api/v1/wallets/{id}") => &wallet,
            path if path.starts_with("/api/v1/me/sessions/{id}") => &session,
            path if path.starts_with("/api/v1/me/trusted-devices/{id}") => &device,
            path if path.starts_with("/api/v1/me/passkeys/{id}") => &passkey,
            path => panic!("{path}: say here what belongs to somebody else"),
        };
        let body = match operation.path.rsplit('/').next() {
            Some("transfers") => &transfer,
            Some("name") => &name,
            _ => &top_up,
        };
        for stranger in [&ahmed, &bank.admin] {
            let found = operation.path.replace("{id}", theirs);
            let found = call_at(stranger, operation, &found, body).await;
            let missing = operation.path.replace("{id}", NOWHERE);
            let missing = call_at(stranger, operation, &missing, body).await;
            let told = |answer: &Answer| {
                (answer.status, answer.body["code"].clone(), answer.body["detail"].clone())
            };
            assert_eq!(told(&found), told(&missing), "{}", operation.path);
            assert_eq!(found.status, 404, "{}: {}", operation.path, found.body);
        }
        checked += 1;
    }
    assert!(checked >= 8, "{checked}");
    assert_eq!(fatima.wallet().await, before);
    let devices = fatima.get("/api/v1/me/trusted-devices").await.expect(200);
    assert_eq!(id(&devices["items"][0]), device);
    let passkeys = fatima.get("/api/v1/me/passkeys").await.expect(200);
    assert_eq!(passkeys["items"][0]["name"], "Telephone");
    assert!(bank.server.stop().await);
}

/// Gives somebody a second factor and a device that is not asked for it: the device's id.
async fn trusted_device(person: &Client) -> String {
    let body = json!({"password": PASSWORD});
    let begun = person.post("/api/v1/me/mfa/totp", &body).await.expect(201);
    let code = json!({"code": app_code(begun["secret"].as_str().unwrap())});
    let confirmed = person.post("/api/v1/me/mfa/totp/confirm", &code).await.expect(200);
    let body = json!({"identifier": FATIMA, "password": PASSWORD});
    let begun = person.post("/api/v1/auth/login", &body).await.expect(200);
    let body = json!({
        "mfaToken": begun["mfaToken"], "code": confirmed["recoveryCodes"][0], "trustDevice": true,
    });
    person.post("/api/v1/auth/login/mfa", &body).await.expect(200);
    id(&person.get("/api/v1/me/trusted-devices").await.expect(200)["items"][0])
}

/// Gives somebody a passkey: its id. Making one asks for no signature.
async fn passkey(person: &Client) -> String {
    let asked = person.post("/api/v1/me/passkeys/registration", &json!({})).await.expect(201);
    let client_data = json!({
        "type": "webauthn.create",
        "challenge": asked["challenge"],
        "origin": "http://localhost:8080",
    });
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    // Present, verified, and with a passkey; never counted; of no make; an id of one byte.
    let data = [
        digest(&SHA256, b"localhost").as_ref(),
        &[0x45, 0, 0, 0, 0],
        &[0; 16],
        &[0, 1, 7],
        b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20",
        x,
        b"\x22\x58\x20",
        y,
    ]
    .concat();
    let length = [u8::try_from(data.len()).unwrap()];
    let begin = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58";
    let object = [&begin[..], &length, &data].concat();
    let response = json!({
        "clientDataJSON": URL_SAFE_NO_PAD.encode(client_data.to_string()),
        "attestationObject": URL_SAFE_NO_PAD.encode(object),
    });
    let body = json!({"name": "Telephone", "passkey": {"response": response}});
    id(&person.post("/api/v1/me/passkeys", &body).await.expect(201))
}

/// What an app does with the secret of the QR code (RFC 6238).
#[expect(clippy::disallowed_methods, reason = "an app has the machine's clock")]
pub(crate) fn app_code(secret: &str) -> String {
    let key = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let step = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 30;
    let tag = sign(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key), &step.to_be_bytes());
    let offset = usize::from(tag.as_ref()[19] & 15);
    let four: [u8; 4] = tag.as_ref()[offset..offset + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}
