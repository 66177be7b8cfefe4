use crate::support::{PASSWORD, Process, clock};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    tokens_say_who_and_what_for_how_long,
    tokens_expire_on_the_second,
    forged_tokens_are_refused,
    calls_without_a_token_are_refused,
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn tokens_say_who_and_what_for_how_long(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let (header, claims) = (part(&access, 0), part(&access, 1));
    let jwks = process.get("/.well-known/jwks.json", "").await;
    assert_eq!(jwks.headers["cache-control"], "public, max-age=60");
    let key = &jwks.body["keys"][0];
    assert_eq!(header, json!({ "typ": "JWT", "alg": "RS256", "kid": key["kid"] }));
    assert_eq!(
        claims,
        json!({
            "iss": "Finitech",
            "aud": "Finitech.Users",
            "sub": process.me(&access).await.body["id"],
            "jti": claims["jti"],
            "sid": claims["sid"],
            "grants_version": 0,
            "auth_time": process.now(),
            "amr": ["pwd"],
            "iat": process.now(),
            "nbf": process.now(),
            "exp": process.now() + 900,
            "roles": ["Customer"],
            "permissions": ["wallet:read", "wallet:write"],
        })
    );
    let members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"], "nothing private");
    assert_eq!(
        json!([key["kty"], key["use"], key["alg"], key["e"]]),
        json!(["RSA", "sig", "RS256", "AQAB"])
    );
}

async fn tokens_expire_on_the_second(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    process.clock.advance(Duration::from_secs(899));
    assert_eq!(process.me(&access).await.status, 200);
    process.clock.advance(Duration::from_secs(1));
    // Once with the signature already checked, once without.
    let fresh = Process::start(&database, &process.clock).await;
    for process in [&process, &fresh] {
        let answer = process.me(&access).await;
        assert_eq!(answer.problem(), (401, "unauthenticated"));
        assert!(answer.body["detail"].as_str().unwrap().contains("expired"));
    }
}

async fn forged_tokens_are_refused(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let pem = std::fs::read(process.key_file()).unwrap();
    let own = EncodingKey::from_rsa_pem(&pem).unwrap();
    let (header, claims) = (part(&access, 0), part(&access, 1));
    let kid = header["kid"].as_str().unwrap().to_owned();
    let rs256 = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::RS256) };
    let signed = |header: &Header, claims: &Value| encode(header, claims, &own).unwrap();
    let claiming = |name: &str, value: Value| {
        let mut claims = claims.clone();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        signed(&rs256, &claims)
    };
    // The recipe works; each of the following differs from it in one thing.
    assert_eq!(process.me(&signed(&rs256, &claims)).await.status, 200);
    let base64 = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let parts: Vec<&str> = access.split('.').collect();
    let mut admin = claims.clone();
    admin["permissions"] = json!(["ledger:write"]);
    let none = json!({ "alg": "none", "kid": kid });
    let public = process.get("/.well-known/jwks.json", "").await.body["keys"][0]["n"].clone();
    let hs256 = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::HS256) };
    let with_public_key = EncodingKey::from_secret(public.as_str().unwrap().as_bytes());
    let other = Process::start(&TestDatabase::sqlite(), &process.clock).await;
    let other_pem = std::fs::read(other.key_file()).unwrap();
    let foreign = EncodingKey::from_rsa_pem(&other_pem).unwrap();
    let now = process.now();
    for (what, token) in [
        ("alg none", format!("{}.{}.", base64(&none), parts[1])),
        ("alg none with signature", format!("{}.{}.{}", base64(&none), parts[1], parts[2])),
        ("HS256 with the public key", encode(&hs256, &claims, &with_public_key).unwrap()),
        ("RS512", signed(&Header { alg: Algorithm::RS512, ..rs256.clone() }, &claims)),
        ("PS256", signed(&Header { alg: Algorithm::PS256, ..rs256.clone() }, &claims)),
        ("changed claims", format!("{}.{}.{}", parts[0], base64(&admin), parts[2])),
        ("signature cut off", format!("{}.{}.", parts[0], parts[1])),
        ("another key's signature", encode(&rs256, &claims, &foreign).unwrap()),
        ("unknown kid", signed(&Header { kid: Some("x".into()), ..rs256.clone() }, &claims)),
        ("no kid", signed(&Header { kid: None, ..rs256.clone() }, &claims)),
        ("wrong audience", claiming("aud", json!("other"))),
        ("no audience", claiming("aud", Value::Null)),
        ("wrong issuer", claiming("iss", json!("other"))),
        ("no issuer", claiming("iss", Value::Null)),
        ("no expiry", claiming("exp", Value::Null)),
        ("expired", claiming("exp", json!(now))),
        ("not yet", claiming("nbf", json!(now + 6))),
        ("no session", claiming("sid", Value::Null)),
        ("subject is no id", claiming("sub", json!("amina"))),
        ("no token", "x".into()),
        ("dots", "..".into()),
        ("a refresh token", process.log_in("amina@example.com", PASSWORD).await.tokens().1),
        ("far too long", "x".repeat(100_000)),
    ] {
        // Twice: what was refused is not remembered as good.
        for _ in 0..2 {
            assert_eq!(process.me(&token).await.problem(), (401, "unauthenticated"), "{what}");
        }
    }
    assert_eq!(process.me(&claiming("nbf", json!(now + 5))).await.status, 200, "leeway");
}

async fn calls_without_a_token_are_refused(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    for authorization in [None, Some("Basic YTpi"), Some("Bearer"), Some("Bearer ")] {
        let mut request = axum::http::Request::get("/api/v1/me");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let answer = process.send(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(answer.problem(), (401, "unauthenticated"), "{authorization:?}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let answer = process.me("x").await;
    assert_eq!(answer.headers["www-authenticate"], "Bearer error=\"invalid_token\"");
    let (access, _) = process.signed_in_amina().await;
    let answer = process.get("/api/v1/admin/users/x", &access).await;
    assert_eq!(answer.problem(), (403, "forbidden"));
    let told = answer.headers["www-authenticate"].to_str().unwrap();
    assert_eq!(told, "Bearer error=\"insufficient_scope\", scope=\"users:read\"");
}

#[tokio::test]
async fn the_document_tells_public_routes_from_others() {
    let process = Process::start(&TestDatabase::sqlite(), &clock()).await;
    let document =
        web::openapi::finish(process.identity.router(process.money.clone()).into_openapi());
    let public: Vec<_> = web::openapi::operations(&document)
        .into_iter()
        .filter(|(_, _, operation)| operation.get("security").is_none())
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(
        public,
        [
            "GET /.well-known/jwks.json",
            "POST /api/v1/auth/login",
            "POST /api/v1/auth/login/mfa",
            "POST /api/v1/auth/login/mfa/challenge",
            "POST /api/v1/auth/login/passkey",
            "POST /api/v1/auth/login/passkey/challenge",
            "POST /api/v1/auth/password-resets",
            "POST /api/v1/auth/password-resets/complete",
            "POST /api/v1/auth/refresh",
            "POST /api/v1/auth/register",
            "POST /api/v1/oauth/token",
        ]
    );
}
