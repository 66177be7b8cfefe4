//! Another signing key while processes run.

use crate::support::{PASSWORD, Process, clock, dependencies};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{Rotation, rotate_signing_key};
use kernel::Clock;
use ports::SystemIds;
use serde_json::Value;
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    nobody_is_signed_out_by_another_key,
    processes_on_one_folder_go_over_together,
    a_key_whose_publication_was_lost_is_published_again,
}

async fn rotate(process: &Process) -> Rotation {
    let folder = process.key_file().parent().unwrap().to_owned();
    rotate_signing_key(&process.store, &folder, &SystemIds, process.clock.now()).await.unwrap()
}

async fn published(process: &Process) -> Vec<String> {
    // Looked up again at most every two seconds.
    process.clock.advance(Duration::from_secs(2));
    let jwks = process.get("/.well-known/jwks.json", "").await.body;
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn kid(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

async fn sign_in(process: &Process) -> (String, String) {
    process.log_in("amina@example.com", PASSWORD).await.tokens()
}

/// Waits until the process signs with this key, for which it looks each second.
async fn wait_until_signed_with(process: &Process, expected: &str) {
    for _ in 0..100 {
        if kid(&sign_in(process).await.0) == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the process does not sign with the next key");
}

async fn nobody_is_signed_out_by_another_key(database: TestDatabase) {
    let clock = clock();
    let here = Process::start(&database, &clock).await;
    let there = Process::start(&database, &clock).await;
    let (access, refresh) = here.signed_in_amina().await;
    let (old, other) = (kid(&access), published(&there).await);
    let rotation = rotate(&here).await;
    assert_eq!(rotation.signs_from, clock.now().plus(Duration::from_mins(2)));
    assert_eq!(rotate(&here).await, rotation, "one at a time");
    for process in [&here, &there] {
        let keys = published(process).await;
        assert_eq!(keys.len(), 3);
        assert!(other.iter().all(|kid| keys.contains(kid)) && keys.contains(&rotation.kid));
    }
    // Published, and not yet used.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(kid(&sign_in(&here).await.0), old);

    clock.advance(Duration::from_mins(2));
    wait_until_signed_with(&here, &rotation.kid).await;
    let (access_now, _) = sign_in(&here).await;
    let (refreshed, _) = here.refresh(&refresh).await.tokens();
    assert_eq!(kid(&refreshed), rotation.kid);
    for process in [&here, &there] {
        for token in [&access, &access_now, &refreshed] {
            assert_eq!(process.me(token).await.status, 200);
        }
        assert_eq!(published(process).await.len(), 3, "tokens of the old key are around");
    }
    assert_eq!(kid(&sign_in(&there).await.0), *other.iter().find(|kid| **kid != old).unwrap());

    clock.advance(Duration::from_mins(17));
    for process in [&here, &there] {
        let keys = published(process).await;
        assert!(!keys.contains(&old) && keys.len() == 2, "{keys:?}");
    }
    let second = rotate(&here).await;
    assert_ne!(second.kid, rotation.kid);
}

async fn processes_on_one_folder_go_over_together(database: TestDatabase) {
    let clock = clock();
    let here = Process::start(&database, &clock).await;
    here.register_amina().await;
    let config = identity::Config {
        keys_folder: here.keys_folder(),
        password_hash: crate::support::CHEAP,
        ..identity::Config::default()
    };
    let deps = dependencies(&here.store, &clock, &here.messages, &here.keys_folder());
    let there = identity::Identity::init(deps, config).await.unwrap();
    let rotation = rotate(&here).await;
    clock.advance(Duration::from_mins(2));
    wait_until_signed_with(&here, &rotation.kid).await;
    let there = here.with_identity(there);
    wait_until_signed_with(&there, &rotation.kid).await;
}

async fn a_key_whose_publication_was_lost_is_published_again(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let rotation = rotate(&process).await;
    // The file waits; what was published of it is lost, as when the command died in between.
    let tx = process.store.begin().await.unwrap();
    let sql = format!("delete from signing_keys where kid = '{}'", rotation.kid);
    store::sea_orm::ConnectionTrait::execute_unprepared(&tx, &sql).await.unwrap();
    tx.commit().await.unwrap();
    for _ in 0..100 {
        if published(&process).await.contains(&rotation.kid) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    process.clock.advance(Duration::from_mins(2));
    wait_until_signed_with(&process, &rotation.kid).await;
    assert_eq!(process.me(&access).await.status, 200);
}
