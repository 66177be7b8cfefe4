//! The OpenAPI document is generated, committed, and the same.

use crate::support::{Server, World};
use serde_json::Value;
use std::path::Path;
use store::testing::TestDatabase;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

/// Run with `FINITECH_UPDATE_OPENAPI=1` to write the document after changing a route.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
async fn the_committed_document_is_the_generated_one() {
    let world = World::new(TestDatabase::sqlite());
    let server = Server::start(world.command(&["--no-demo"])).await;
    let generated = server.client.get("/openapi.json").await.expect(200);
    if std::env::var("FINITECH_UPDATE_OPENAPI").is_ok() {
        let text = serde_json::to_string_pretty(&generated).unwrap();
        std::fs::write(COMMITTED, text + "\n").unwrap();
    }
    let committed = std::fs::read_to_string(Path::new(COMMITTED)).unwrap_or_default();
    let committed: Value = serde_json::from_str(&committed).unwrap_or_default();
    assert!(
        committed == generated,
        "docs/openapi.json is not what the routes say; look at the change, then run: \
         FINITECH_UPDATE_OPENAPI=1 cargo test -p server openapi"
    );
}

#[tokio::test]
async fn the_documentation_page_loads_nothing_from_elsewhere() {
    let world = World::new(TestDatabase::sqlite());
    let server = Server::start(world.command(&["--no-demo"])).await;
    let base = server.ready.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let page = server.client.get("/docs/").await.text;
    assert!(page.contains("swagger-ui"), "{page}");
    let elsewhere = page.matches("http").count() - page.matches(base).count();
    assert_eq!(elsewhere, page.matches("http-equiv").count(), "{page}");
}
