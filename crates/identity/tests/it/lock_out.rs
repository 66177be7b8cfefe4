use crate::support::{PASSWORD, Process, clock};
use serde_json::Value;
use std::time::Duration;
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;

store::on_every_store! {
    five_wrong_passwords_lock_out_for_half_an_hour,
    a_right_password_starts_the_count_again,
    the_count_is_the_users_in_every_spelling_and_process,
    strangers_are_locked_out_like_users,
    guesses_made_at_once_do_not_slip_through,
}

const WRONG: &str = "demo-Finitech-2";

async fn fail(process: &Process, identifier: &str, times: u32) {
    for _ in 0..times {
        let answer = process.log_in(identifier, WRONG).await;
        assert_eq!(answer.problem(), (401, "invalid_credentials"));
    }
}

async fn five_wrong_passwords_lock_out_for_half_an_hour(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, refresh) = process.signed_in_amina().await;
    fail(&process, "amina@example.com", 5).await;
    let wrong = process.log_in("amina@example.com", WRONG).await;
    let right = process.log_in("amina@example.com", PASSWORD).await;
    assert_eq!(right.problem(), (401, "invalid_credentials"));
    assert_eq!(right.body, wrong.body, "the right password is not told from a wrong one");
    // Whoever is signed in stays so: otherwise anybody could sign anybody out.
    assert_eq!(process.me(&access).await.status, 200);
    process.refresh(&refresh).await.tokens();

    process.clock.advance(Duration::from_mins(30) - Duration::from_micros(1));
    assert_eq!(process.log_in("amina@example.com", PASSWORD).await.status, 401);
    process.clock.advance(Duration::from_micros(1));
    process.log_in("amina@example.com", PASSWORD).await.tokens();

    let events = process.events().await;
    let event = events.iter().find(|event| event.event_type == "identity.user_locked_out").unwrap();
    let payload: Value = serde_json::from_str(&event.payload).unwrap();
    assert_eq!(payload["lockedUntil"], "2026-11-23T10:00:00Z");
}

async fn a_right_password_starts_the_count_again(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    process.register_amina().await;
    for _ in 0..3 {
        fail(&process, "amina@example.com", 4).await;
        process.log_in("amina@example.com", PASSWORD).await.tokens();
    }
    // So does half an hour without a wrong one.
    for _ in 0..3 {
        fail(&process, "amina@example.com", 4).await;
        process.clock.advance(Duration::from_mins(30));
    }
    process.log_in("amina@example.com", PASSWORD).await.tokens();
}

async fn the_count_is_the_users_in_every_spelling_and_process(database: TestDatabase) {
    let clock = clock();
    let here = Process::start(&database, &clock).await;
    let there = Process::start(&database, &clock).await;
    here.register_amina().await;
    fail(&here, "amina@example.com", 1).await;
    fail(&there, " AMINA@Example.com", 2).await;
    fail(&here, "+212612345678", 1).await;
    fail(&there, "00212 6 12 34 56 78", 1).await;
    for process in [here, there] {
        assert_eq!(process.log_in("+212612345678", PASSWORD).await.status, 401);
    }
}

async fn strangers_are_locked_out_like_users(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let failures = async || {
        let sql = "select cast(count(*) as bigint), cast(coalesce(max(failures), 0) as bigint) \
                   from log_in_failures";
        let statement = process.store.statement(sql, []);
        let row = process.store.read().query_one_raw(statement).await.unwrap().unwrap();
        let number = |index| row.try_get_by_index::<i64>(index).unwrap();
        (number(0), number(1))
    };
    fail(&process, "amina@example.com", 3).await;
    fail(&process, " AMINA@example.com", 4).await;
    assert_eq!(failures().await, (1, 5), "counted, and no more once locked out");
    assert!(process.events().await.is_empty());
    // Whoever registers there now is somebody else.
    process.register_amina().await;
    process.log_in("amina@example.com", PASSWORD).await.tokens();
    process.clock.advance(Duration::from_mins(31));
    fail(&process, "youssef@example.com", 1).await;
    assert_eq!(failures().await, (1, 1), "what is too old to count is forgotten");
}

async fn guesses_made_at_once_do_not_slip_through(database: TestDatabase) {
    let process = std::sync::Arc::new(Process::start(&database, &clock()).await);
    process.register_amina().await;
    let guesses: Vec<_> = (0..30)
        .map(|_| {
            let process = process.clone();
            tokio::spawn(async move { process.log_in("amina@example.com", WRONG).await.status })
        })
        .collect();
    for guess in guesses {
        assert_eq!(guess.await.unwrap(), 401);
    }
    assert_eq!(process.log_in("amina@example.com", PASSWORD).await.status, 401);
    assert_eq!(process.audited("credential_refused").await, 5, "no more were compared");
    assert_eq!(process.audited("refused_while_locked_out").await, 26);
    let lock_outs = process.events().await;
    let lock_outs = lock_outs.iter().filter(|one| one.event_type == "identity.user_locked_out");
    assert_eq!(lock_outs.count(), 1);
}
