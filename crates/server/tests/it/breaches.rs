//! New passwords are looked up among breached ones, at a stand-in that speaks the protocol.

use crate::secrets;
use crate::support::{Client, Server, World};
use adapters::testing::{RangeFate, RangeStandIn};
use serde_json::json;
use store::testing::TestDatabase;

const BREACHED: &str = "a lemon, a pelican";
const UNKNOWN: &str = "a plum, a tiger";

async fn register(client: &Client, number: u32, password: &str) -> (u16, String) {
    let person = json!({
        "email": format!("salma{number}@example.com"),
        "phoneNumber": format!("+21266155443{number}"),
        "password": password,
        "displayName": "Salma Idrissi",
    });
    let answer = client.post("/api/v1/auth/register", &person).await;
    (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn new_passwords_are_looked_up_and_hardly_anything_of_them_leaves() {
    for password in [BREACHED, UNKNOWN] {
        secrets::learn(password);
    }
    let service = RangeStandIn::start(&[(BREACHED, 3)]).await;
    let world = World::new(TestDatabase::sqlite());
    let mut command = world.command(&["--no-demo"]);
    command.env("FINITECH__PASSWORDS__BREACHES_URL", service.base_url());
    let server = Server::start(command).await;
    let refused = register(&server.client, 0, BREACHED).await;
    assert_eq!(refused, (422, "validation_failed".to_owned()));
    assert_eq!(register(&server.client, 1, UNKNOWN).await.0, 201);
    assert_eq!(service.requests().len(), 2);
    // Nobody is kept from registering by who does not answer.
    service.destine([RangeFate::Status(404, None)]);
    assert_eq!(register(&server.client, 2, UNKNOWN).await.0, 201);
    let printed = server.printed();
    for told in
        ["one of the new passwords was accepted unchecked", "unchecked_since_start=1", "404"]
    {
        assert!(printed.contains(told), "{told}: {printed}");
    }
    for request in service.requests() {
        let path = request.line.strip_prefix("GET /mirror/range/").unwrap();
        assert_eq!(path.len(), "12345 HTTP/1.1".len(), "{path}");
        assert!(request.body.is_empty());
    }
    assert!(server.stop().await);

    // Unless the operator wants it so.
    let mut command = world.command(&["--no-demo"]);
    command
        .env("FINITECH__PASSWORDS__BREACHES_URL", service.base_url())
        .env("FINITECH__PASSWORDS__ACCEPT_UNCHECKED", "false");
    let server = Server::start(command).await;
    service.destine([RangeFate::Body(b"<html>sign in</html>".to_vec())]);
    let refused = register(&server.client, 3, UNKNOWN).await;
    assert_eq!(refused, (503, "password_not_checked".to_owned()));
    assert_eq!(register(&server.client, 3, UNKNOWN).await.0, 201);
    assert!(server.stop().await);
}
