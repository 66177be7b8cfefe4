//! Several processes on one database, each with its own keys folder.

use crate::support::{PASSWORD, Process, clock, dependencies};
use kernel::ManualClock;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::testing::TestDatabase;

store::on_every_store! {
    processes_accept_each_others_tokens,
    signing_out_here_reaches_the_others,
    a_reuse_noticed_there_reaches_the_others,
    a_new_process_knows_earlier_revocations,
    the_key_file_is_private_and_kept,
}

async fn two(database: &TestDatabase) -> (Process, Process, Arc<ManualClock>) {
    let clock = clock();
    let (here, there) =
        (Process::start(database, &clock).await, Process::start(database, &clock).await);
    (here, there, clock)
}

/// Waits until the token is refused, which is said to take about a second.
async fn wait_until_refused(process: &Process, token: &str) {
    let started = Instant::now();
    while process.me(token).await.status == 200 {
        assert!(started.elapsed() < Duration::from_secs(5), "the revocation did not arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(process.me(token).await.problem(), (401, "unauthenticated"));
}

async fn processes_accept_each_others_tokens(database: TestDatabase) {
    let (here, there, _) = two(&database).await;
    let (access, refresh) = here.signed_in_amina().await;
    assert_eq!(there.me(&access).await.status, 200);
    // `here` started before `there` had published its key, and looks it up now.
    let (access_of_there, _) = there.refresh(&refresh).await.tokens();
    assert_eq!(here.me(&access_of_there).await.status, 200);
    let jwks = "/.well-known/jwks.json";
    let (keys_here, keys_there) = (here.get(jwks, "").await, there.get(jwks, "").await);
    assert_eq!(keys_here.body["keys"].as_array().unwrap().len(), 2);
    assert_eq!(keys_here.body, keys_there.body);
}

async fn signing_out_here_reaches_the_others(database: TestDatabase) {
    let (here, there, _) = two(&database).await;
    let (access, refresh) = here.signed_in_amina().await;
    assert_eq!(there.me(&access).await.status, 200);
    assert_eq!(here.log_out(&access).await.status, 204);
    wait_until_refused(&there, &access).await;
    assert_eq!(there.refresh(&refresh).await.problem(), (401, "invalid_refresh_token"));
}

async fn a_reuse_noticed_there_reaches_the_others(database: TestDatabase) {
    let (here, there, _) = two(&database).await;
    let (access, refresh) = here.signed_in_amina().await;
    here.refresh(&refresh).await.tokens();
    assert_eq!(there.refresh(&refresh).await.status, 401);
    wait_until_refused(&here, &access).await;
}

async fn a_new_process_knows_earlier_revocations(database: TestDatabase) {
    let clock = clock();
    let here = Process::start(&database, &clock).await;
    let (access, _) = here.signed_in_amina().await;
    here.log_out(&access).await;
    clock.advance(Duration::from_mins(14));
    let there = Process::start(&database, &clock).await;
    assert_eq!(there.me(&access).await.problem(), (401, "unauthenticated"));
    let (other, _) = there.log_in("amina@example.com", PASSWORD).await.tokens();
    assert_eq!(there.me(&other).await.status, 200);
}

async fn the_key_file_is_private_and_kept(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let pem = std::fs::read_to_string(process.key_file()).unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&process.key_file()), 0o600);
        assert_eq!(mode(process.key_file().parent().unwrap()), 0o700);
    }
    let (access, _) = process.signed_in_amina().await;
    let config =
        identity::Config { password_hash: crate::support::CHEAP, ..identity::Config::default() };
    let deps =
        dependencies(&process.store, &process.clock, &process.messages, &process.keys_folder());
    let restarted = identity::Identity::init(deps, config).await.unwrap();
    restarted.authenticator().authenticate(&access, None).await.unwrap();
    assert_eq!(std::fs::read_to_string(process.key_file()).unwrap(), pem);
}
