//! Another signing key while processes run.

use crate::support::{CHEAP, PASSWORD, Process, clock, dependencies, signing_keys};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{Config, Identity, Rotation, RotationError, SigningKeyFolder, rotate_signing_key};
use kernel::Clock;
use ports::{RsaPublicKey, Signer, SigningKeySource, SigningKeysError};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;

store::on_every_store! {
    nobody_is_signed_out_by_another_key,
    processes_on_one_folder_go_over_together,
    a_key_whose_publication_was_lost_is_published_again,
    a_schedule_signs_nobody_out_and_makes_one_key_for_a_folder,
    of_many_rotations_at_once_one_makes_a_key,
    a_rotation_goes_on_where_another_died,
    a_folder_that_is_read_only_keeps_its_key_until_somebody_adds_one,
}

async fn rotate(process: &Process) -> Rotation {
    let keys = signing_keys(&process.keys_folder());
    rotate_signing_key(&process.store, &keys, process.clock.now()).await.unwrap()
}

/// Another process on the same folder, after the same settings.
async fn beside(process: &Process, config: Config) -> Process {
    let folder = process.keys_folder();
    let deps = dependencies(&process.store, &process.clock, &process.messages, &folder);
    process.with_identity(Identity::init(deps, config).await.unwrap())
}

fn rotating_daily() -> Config {
    let rotate_signing_keys_every = Some(Duration::from_hours(24));
    let staff_second_factor = false;
    Config {
        rotate_signing_keys_every,
        staff_second_factor,
        password_hash: CHEAP,
        ..Config::default()
    }
}

fn key_files(process: &Process) -> usize {
    let names = std::fs::read_dir(process.keys_folder()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".pem")).count()
}

/// Waits for what happens every other second.
async fn eventually(what: &str, happened: impl AsyncFn() -> bool) {
    for _ in 0..100 {
        if happened().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not happen");
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
    tokio::time::sleep(Duration::from_millis(2_500)).await;
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
    let there = beside(&here, Config { password_hash: CHEAP, ..Config::default() }).await;
    let rotation = rotate(&here).await;
    clock.advance(Duration::from_mins(2));
    wait_until_signed_with(&here, &rotation.kid).await;
    wait_until_signed_with(&there, &rotation.kid).await;
}

async fn a_key_whose_publication_was_lost_is_published_again(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let rotation = rotate(&process).await;
    // The file waits; what was published of it is lost, as when the command died in between.
    let tx = process.store.begin().await.unwrap();
    let sql = format!("delete from signing_keys where kid = '{}'", rotation.kid);
    tx.execute_unprepared(&sql).await.unwrap();
    tx.commit().await.unwrap();
    let is_back = async || published(&process).await.contains(&rotation.kid);
    eventually("the publication", is_back).await;
    process.clock.advance(Duration::from_mins(2));
    wait_until_signed_with(&process, &rotation.kid).await;
    assert_eq!(process.me(&access).await.status, 200);
}

async fn a_schedule_signs_nobody_out_and_makes_one_key_for_a_folder(database: TestDatabase) {
    let clock = clock();
    let here = Process::start_configured(&database, &clock, rotating_daily()).await;
    let there = beside(&here, rotating_daily()).await;
    let elsewhere = Process::start_configured(&database, &clock, rotating_daily()).await;
    let all = [&here, &there, &elsewhere];
    let old = kid(&here.signed_in_amina().await.0);
    let old_elsewhere = kid(&sign_in(&elsewhere).await.0);
    assert_eq!(kid(&sign_in(&there).await.0), old, "the folder is shared");

    clock.advance(Duration::from_hours(24) - Duration::from_mins(1));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(published(&here).await.len(), 2, "it is not time yet");
    let (before, refresh) = sign_in(&here).await;

    clock.advance(Duration::from_mins(1));
    let is_made = async || published(&here).await.len() == 4;
    eventually("the next keys", is_made).await;
    let (during, _) = sign_in(&there).await;
    assert_eq!([kid(&before), kid(&during)], [old.clone(), old.clone()], "not before its time");
    assert_eq!((key_files(&here), key_files(&elsewhere)), (2, 2), "one for each folder");

    clock.advance(Duration::from_mins(2));
    let has_changed = async || {
        kid(&sign_in(&here).await.0) != old && kid(&sign_in(&elsewhere).await.0) != old_elsewhere
    };
    eventually("signing with the next keys", has_changed).await;
    let (after, _) = sign_in(&here).await;
    wait_until_signed_with(&there, &kid(&after)).await;
    let (refreshed, _) = there.refresh(&refresh).await.tokens();
    for process in all {
        for token in [&before, &during, &after, &refreshed] {
            assert_eq!(process.me(token).await.status, 200);
        }
        assert_eq!(published(process).await.len(), 4, "tokens of the old keys are around");
    }

    clock.advance(Duration::from_mins(17));
    let is_gone = async || key_files(&here) == 1 && key_files(&elsewhere) == 1;
    eventually("the end of the old keys", is_gone).await;
    assert!(!here.key_file().exists(), "the first key is destroyed");
    let (kids, refreshed) = (published(&there).await, there.refresh(&sign_in(&here).await.1).await);
    assert!(kids.len() == 2 && !kids.contains(&old) && !kids.contains(&old_elsewhere), "{kids:?}");
    assert_eq!(kid(&refreshed.tokens().0), kid(&after));

    // A process that starts now finds things as they are.
    let late = beside(&here, rotating_daily()).await;
    assert_eq!(kid(&sign_in(&late).await.0), kid(&after));
    let (_, auditor) = late.staff("auditor", &["Auditor"]).await;
    let trail = "/api/v1/admin/audit-events?action=signing_key_rotated";
    let entries = late.get(trail, &auditor).await.body;
    assert_eq!(entries["items"].as_array().unwrap().len(), 2, "{entries}");
}

async fn of_many_rotations_at_once_one_makes_a_key(database: TestDatabase) {
    let process = Arc::new(Process::start(&database, &clock()).await);
    let rotations: Vec<_> = (0..8)
        .map(|_| {
            let process = process.clone();
            tokio::spawn(async move {
                let keys = signing_keys(&process.keys_folder());
                rotate_signing_key(&process.store, &keys, process.clock.now()).await
            })
        })
        .collect();
    let mut made = Vec::new();
    for rotation in rotations {
        match rotation.await.unwrap() {
            Ok(rotation) => made.push(rotation.kid),
            Err(RotationError::UnderWay) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(!made.is_empty() && made.iter().all(|kid| *kid == made[0]), "{made:?}");
    assert_eq!(key_files(&process), 2);
}

/// A folder that dies over making a key: before, or right after.
struct Dying {
    folder: SigningKeyFolder,
    makes_it: bool,
}

#[async_trait]
impl SigningKeySource for Dying {
    fn name(&self) -> String {
        self.folder.name()
    }

    async fn load(&self) -> Result<Vec<Arc<dyn Signer>>, SigningKeysError> {
        self.folder.load().await
    }

    async fn generate(&self, beside: usize) -> Result<(), SigningKeysError> {
        if self.makes_it {
            self.folder.generate(beside).await?;
        }
        Err(SigningKeysError::Unavailable("died".into()))
    }

    async fn destroy(&self, _: &RsaPublicKey) -> Result<(), SigningKeysError> {
        Err(SigningKeysError::Unavailable("died".into()))
    }
}

async fn a_rotation_goes_on_where_another_died(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let folder = || signing_keys(&process.keys_folder());
    let attempt = async |keys: &dyn SigningKeySource| {
        rotate_signing_key(&process.store, keys, process.clock.now()).await
    };
    // Before there was a key: nobody else begins while it might come.
    let dead = attempt(&Dying { folder: folder(), makes_it: false }).await;
    assert!(matches!(dead, Err(RotationError::Failed(_))), "{dead:?}");
    assert!(matches!(attempt(&folder()).await, Err(RotationError::UnderWay)));
    process.clock.advance(Duration::from_mins(2));
    // After there was: whoever looks next publishes it.
    let dead = attempt(&Dying { folder: folder(), makes_it: true }).await;
    assert!(matches!(dead, Err(RotationError::Failed(_))), "{dead:?}");
    let is_published = async || published(&process).await.len() == 2;
    eventually("the publication", is_published).await;
    let rotation = attempt(&folder()).await.unwrap();
    assert_eq!(key_files(&process), 2, "and it is the one");
    process.clock.advance(Duration::from_mins(2));
    wait_until_signed_with(&process, &rotation.kid).await;
    assert_eq!(process.me(&access).await.status, 200);
}

async fn a_folder_that_is_read_only_keeps_its_key_until_somebody_adds_one(database: TestDatabase) {
    let process = Process::start_configured(&database, &clock(), rotating_daily()).await;
    let (access, _) = process.signed_in_amina().await;
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(process.keys_folder(), permissions).unwrap();
    };
    mode(0o555);
    for _ in 0..2 {
        let keys = signing_keys(&process.keys_folder());
        let refused = rotate_signing_key(&process.store, &keys, process.clock.now()).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("cannot write to"), "{refused}");
    }
    process.clock.advance(Duration::from_hours(24));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(kid(&sign_in(&process).await.0), kid(&access));
    assert!(process.identity.can_sign_tokens());
    // Somebody else may, as when a secret is mounted.
    mode(0o700);
    let made = process.keys_folder().join("elsewhere");
    signing_keys(&made).generate(0).await.unwrap();
    let added = process.keys_folder().join("signing-key-2026-11.pem");
    std::fs::rename(made.join("signing-key.pem"), added).unwrap();
    mode(0o555);
    let is_published = async || published(&process).await.len() == 2;
    eventually("the publication", is_published).await;
    process.clock.advance(Duration::from_mins(2));
    let is_signed_with = async || kid(&sign_in(&process).await.0) != kid(&access);
    eventually("signing with the added key", is_signed_with).await;
    // The old key cannot be destroyed here, and does not come back.
    process.clock.advance(Duration::from_hours(20));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_ne!(kid(&sign_in(&process).await.0), kid(&access));
    assert_eq!(published(&process).await.len(), 1);
    mode(0o700);
}
