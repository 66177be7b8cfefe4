//! What the database shows of people: nothing, also when it comes from before contacts were sealed, and
//! whatever key it is sealed with.

use crate::passkeys::with_passkey;
use crate::support::{PASSWORD, Process, amina, clock, dependencies, write_data_keys, youssef};
use identity::{DataKeyFile, Identity, MIGRATIONS, NewUser, Resealed, migrate_data, reseal};
use kernel::{Clock, IdSource};
use ports::SystemIds;
use serde_json::json;
use std::collections::BTreeSet;
use store::Store;
use store::sea_orm::{ConnectionTrait, TryGetable};
use store::testing::{TestDatabase, plan_with_indexes, stored_bytes};

store::on_every_store! {
    nothing_personal_is_stored_in_clear,
    a_database_from_before_is_sealed,
    sealing_goes_on_where_it_was_cut_off,
    looking_somebody_up_reads_an_index,
    everything_is_sealed_anew_while_people_sign_in,
    sealing_anew_goes_on_where_it_was_cut_off,
    who_lacks_the_newest_key_seals_nothing_more,
}

const SECRETS: [&str; 7] = [
    "Telephone of Amina",
    "amina@example.com",
    "youssef@example.com",
    "612345678",
    "612345679",
    "Amina El Idrissi",
    "nobody@example.org",
];

async fn found(store: &Store) -> Vec<&'static str> {
    let raw = stored_bytes(store).await;
    assert!(store.sqlite_path().is_some() || raw.len() > 100_000, "the files were not read");
    let is_in = |secret: &str| raw.windows(secret.len()).any(|window| window == secret.as_bytes());
    SECRETS.into_iter().filter(|secret| is_in(secret)).collect()
}

async fn nothing_personal_is_stored_in_clear(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    process.identity.register_with_roles(youssef(), &["Customer"]).await.unwrap();
    for wrong in ["nobody@example.org", "youssef@example.com", "+212612345679"] {
        assert_eq!(process.log_in(wrong, "wrong-Finitech-1").await.status, 401);
    }
    for contact in ["email", "phone"] {
        let path = format!("/api/v1/me/{contact}/verification");
        assert_eq!(process.post_as(&access, &path, json!(null)).await.status, 202);
    }
    process.identity.begin_password_reset("youssef@example.com").unwrap();
    process.messages.next().await;
    let (_, added) = with_passkey(&process, &access).await;
    let path = format!("/api/v1/me/passkeys/{}/name", added.body["id"].as_str().unwrap());
    let rename = axum::http::Request::put(path)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {access}"))
        .body(json!({ "name": "Telephone of Amina" }).to_string().into());
    assert_eq!(process.send(rename.unwrap()).await.status, 204);
    let me = process.me(&access).await.body;
    assert_eq!(me["email"], "amina@example.com");
    assert_eq!(me["phoneNumber"], "+212612345678");
    assert_eq!(me["displayName"], "Amina El Idrissi");
    assert_eq!(found(&process.store).await, Vec::<&str>::new());
}

/// A store of the last version that kept contacts in clear, with Amina and Youssef in it.
async fn store_from_before(database: &TestDatabase) -> Store {
    let store = Store::open("identity", database.target()).await.unwrap();
    let names: Vec<_> = MIGRATIONS.iter().map(|one| one.name).collect();
    let before = names.iter().position(|name| *name == "m0007_sealed_contacts").unwrap();
    store.migrate(&MIGRATIONS[..before]).await.unwrap();
    let tx = store.begin().await.unwrap();
    for user in [amina(), youssef()] {
        let insert = "insert into users (id, email, phone_number, display_name, password_hash, \
                      status, created_at, password_changed_at, email_verified_at, \
                      phone_verified_at) values ($1, $2, $3, $4, 'a hash', 'active', 1, 1, 1, 1)";
        let binds = [
            SystemIds.next().into(),
            user.email.into(),
            user.phone_number.into(),
            user.display_name.into(),
        ];
        tx.execute_raw(store.statement(insert, binds)).await.unwrap();
    }
    let stranger = "insert into log_in_failures (subject, failures, last_failed_at) \
                    values ($1, 1, 1)";
    tx.execute_raw(store.statement(stranger, [SystemIds.next().into()])).await.unwrap();
    tx.commit().await.unwrap();
    assert!(found(&store).await.contains(&"amina@example.com"), "the search would find it");
    store
}

async fn a_database_from_before_is_sealed(database: TestDatabase) {
    drop(store_from_before(&database).await);
    let process = Process::start(&database, &clock()).await;
    assert_eq!(found(&process.store).await, Vec::<&str>::new());
    assert_eq!(count(&process.store, "log_in_failures").await, 0);
    let directory = process.identity.directory();
    let amina_id = directory.find_by_email("Amina@example.com").await.unwrap().unwrap();
    assert_eq!(directory.find_by_phone("+212 612345678").await.unwrap(), Some(amina_id));
    let names = directory.display_names(&[amina_id]).await.unwrap();
    assert_eq!(names[&amina_id], "Amina El Idrissi");
    let taken = process.identity.register(amina()).await.unwrap_err();
    assert!(matches!(taken, identity::RegisterError::EmailAlreadyRegistered), "{taken}");
    let other = NewUser { email: "other@example.com".into(), ..youssef() };
    let taken = process.identity.register(other).await.unwrap_err();
    assert!(matches!(taken, identity::RegisterError::PhoneAlreadyRegistered), "{taken}");
}

async fn count(store: &Store, table: &str) -> i64 {
    let sql = format!("select count(*) as rows from {table}");
    let row = store.read().query_one_raw(store.statement(&sql, [])).await.unwrap().unwrap();
    i64::try_get(&row, "", "rows").unwrap()
}

async fn sealing_goes_on_where_it_was_cut_off(database: TestDatabase) {
    let store = store_from_before(&database).await;
    store.migrate(MIGRATIONS).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_data_keys(folder.path(), &[1]);
    let now = clock().now();
    let file = || DataKeyFile::in_folder(folder.path(), SystemIds.next());
    // As many at once as like; each user is sealed once.
    let (one, other) = (file(), file());
    let (one, other) =
        tokio::join!(migrate_data(&store, &one, now), migrate_data(&store, &other, now));
    assert_eq!(one.unwrap() + other.unwrap(), 2);
    let sealed_before = sealed_emails(&store).await;
    // Whoever was killed between two users left this behind.
    let tx = store.begin().await.unwrap();
    let half = "update users set email_index = null, phone_number_index = null, sealed_email = \
                'amina@example.com', sealed_phone_number = '+212612345678', \
                sealed_display_name = 'Amina El Idrissi' \
                where id = (select id from users order by id limit 1)";
    tx.execute_unprepared(half).await.unwrap();
    tx.execute_unprepared("delete from data_migrations").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(migrate_data(&store, &file(), now).await.unwrap(), 1);
    assert_eq!(migrate_data(&store, &file(), now).await.unwrap(), 0);
    assert_eq!(found(&store).await, Vec::<&str>::new());
    let sealed_after = sealed_emails(&store).await;
    assert_eq!(sealed_before.intersection(&sealed_after).count(), 1, "the other one is left alone");
    // Without the keys nothing is sealed with a new one.
    let tx = store.begin().await.unwrap();
    tx.execute_unprepared("delete from data_migrations").await.unwrap();
    tx.commit().await.unwrap();
    let nowhere = DataKeyFile::at(folder.path().join("elsewhere"));
    assert!(migrate_data(&store, &nowhere, now).await.is_err());
}

async fn sealed_emails(store: &Store) -> BTreeSet<String> {
    let emails = store.statement("select sealed_email from users", []);
    let rows = store.read().query_all_raw(emails).await.unwrap();
    rows.iter().map(|row| String::try_get(row, "", "sealed_email").unwrap()).collect()
}

async fn looking_somebody_up_reads_an_index(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    process.register_amina().await;
    for column in ["email_index", "phone_number_index"] {
        let query = format!("select * from users where {column} = $1");
        let plan = plan_with_indexes(&process.store, &query, [vec![0_u8].into()]).await;
        let index = format!("users_{column}_unique");
        assert!(plan.contains(&index), "{plan}");
    }
}

async fn reseal_now(process: &Process) -> Resealed {
    let file = DataKeyFile::at(process.keys_folder().join("data-keys"));
    reseal(&process.store, &file, process.clock.as_ref(), |_| {}).await.unwrap()
}

/// The same process with the keys that its file has by now.
async fn restarted(process: &Process) -> Process {
    let config =
        identity::Config { password_hash: crate::support::CHEAP, ..identity::Config::default() };
    let folder = process.keys_folder();
    let deps = dependencies(&process.store, &process.clock, &process.messages, &folder);
    process.with_identity(Identity::init(deps, config).await.unwrap())
}

async fn everything_is_sealed_anew_while_people_sign_in(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    for number in 0..450 {
        let email = format!("user{number}@example.com");
        let phone_number = format!("+2126{:08}", 10_000_000 + number);
        process.identity.register(NewUser { email, phone_number, ..amina() }).await.unwrap();
    }
    let (access, _) = process.log_in("user7@example.com", PASSWORD).await.tokens();
    let body = json!({ "password": PASSWORD });
    assert_eq!(process.post_as(&access, "/api/v1/me/mfa/totp", body.clone()).await.status, 201);
    with_passkey(&process, &access).await;
    write_data_keys(&process.keys_folder(), &[1, 2]);
    let process = std::sync::Arc::new(restarted(&process).await);
    let serving = {
        let process = process.clone();
        tokio::spawn(async move {
            for number in 0..40 {
                let email = format!("user{number}@example.com");
                assert_eq!(process.log_in(&email, PASSWORD).await.status, 200);
                let new = NewUser {
                    email: format!("more{number}@example.com"),
                    phone_number: format!("+2126{:08}", 20_000_000 + number),
                    ..amina()
                };
                process.identity.register(new).await.unwrap();
            }
        })
    };
    let resealed = reseal_now(&process).await;
    serving.await.unwrap();
    // Three values of each user, the secret of an app, the name of a passkey and the key of the indexes.
    assert_eq!(resealed.values, 3 * 450 + 3);
    assert_eq!(resealed.forgotten_keys.len(), 1);
    // The old key can go, and everybody is found as before.
    write_data_keys(&process.keys_folder(), &[2]);
    let process = restarted(&process).await;
    for email in ["user0@example.com", "user449@example.com", "more39@example.com"] {
        assert_eq!(process.log_in(email, PASSWORD).await.status, 200);
    }
    let (email, phone_number) = ("user9@example.com".into(), "+212610000009".into());
    let taken = NewUser { email, phone_number, ..youssef() };
    assert!(process.identity.register(taken).await.is_err());
    let code = process.post_as(&access, "/api/v1/me/mfa/totp/confirm", json!({ "code": "000000" }));
    assert_eq!(code.await.problem(), (422, "wrong_mfa_code"), "the secret opens");
    let passkeys = process.get("/api/v1/me/passkeys", &access).await;
    assert_eq!(passkeys.body["items"][0]["name"], "Telephone");
    let again = reseal_now(&process).await;
    assert_eq!((again.values, again.forgotten_keys), (0, vec![]));
}

async fn sealing_anew_goes_on_where_it_was_cut_off(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    for number in 0..450 {
        let email = format!("user{number}@example.com");
        let phone_number = format!("+2126{:08}", 10_000_000 + number);
        process.identity.register(NewUser { email, phone_number, ..amina() }).await.unwrap();
    }
    write_data_keys(&process.keys_folder(), &[1, 2]);
    let process = restarted(&process).await;
    let (store, clock) = (process.store.clone(), process.clock.clone());
    let file = DataKeyFile::at(process.keys_folder().join("data-keys"));
    let (told, mut telling) = tokio::sync::mpsc::unbounded_channel();
    let cut_off = tokio::spawn(async move {
        reseal(&store, &file, clock.as_ref(), |done| told.send(done).unwrap_or_default()).await
    });
    while telling.recv().await.unwrap() < 200 {}
    cut_off.abort();
    let before = match cut_off.await {
        Ok(finished) => finished.unwrap().values,
        Err(_) => 0,
    };
    let rest = reseal_now(&process).await;
    assert!(before > 0 || (rest.values > 0 && rest.values <= 3 * 450 + 1 - 200), "{rest:?}");
    write_data_keys(&process.keys_folder(), &[2]);
    let process = restarted(&process).await;
    for number in [0, 199, 200, 449] {
        let email = format!("user{number}@example.com");
        assert_eq!(process.log_in(&email, PASSWORD).await.status, 200);
    }
}

async fn who_lacks_the_newest_key_seals_nothing_more(database: TestDatabase) {
    let clock = clock();
    let old = Process::start(&database, &clock).await;
    old.register_amina().await;
    let new = Process::start(&database, &clock).await;
    write_data_keys(&new.keys_folder(), &[1, 2]);
    let new = restarted(&new).await;
    reseal_now(&new).await;
    let refused = old.identity.register(youssef()).await.unwrap_err().to_string();
    assert!(refused.contains("lacks data keys"), "{refused}");
    new.identity.register(youssef()).await.unwrap();
    assert_eq!(new.log_in("amina@example.com", PASSWORD).await.status, 200);
    // The older key is needed by nobody, so who has the newest alone starts.
    write_data_keys(&old.keys_folder(), &[2]);
    let old = restarted(&old).await;
    assert_eq!(old.log_in("youssef@example.com", PASSWORD).await.status, 200);
}
