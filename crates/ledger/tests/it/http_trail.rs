//! What the audit trail is told of changes of the books, and that nothing is changed without it.

use crate::http::{ACCOUNTS, Answer, Client, STAFF, TRANSACTIONS, request, transfer_body, uuid};
use crate::http_refusals::{changed, check};
use crate::world::*;
use axum::body::Body;
use axum::http::header;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use identity_api::{AuditRecord, RequestOrigin};
use kernel::UserId;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use store::testing::TestDatabase;
use uuid::Uuid;

store::on_every_store! {
    who_changes_the_books_is_written_down,
    what_cannot_be_written_down_is_not_done,
    of_api_clients_what_is_rare_is_written_down,
    trying_is_not_written_down,
    a_large_batch_is_told_in_few_words,
    what_is_refused_later_is_written_down_too,
    a_stream_whose_end_cannot_be_written_down_is_not_done,
    a_stream_that_is_cut_off_is_written_down_as_far_as_it_came,
}

const PROGRAM: &str = "ledger:read,ledger:write@2/program";

/// What is done through a route, and what the trail is told of it.
struct Deed {
    method: &'static str,
    path: String,
    body: String,
    action: &'static str,
    object: Option<Uuid>,
    details: Value,
    /// Whether it is written down of API clients, too.
    is_rare: bool,
}

fn amounts(minor_units: i64) -> Value {
    json!([{ "currencyCode": "MAD", "amountMinorUnits": minor_units }])
}

/// Everything that can be asked for, in an order in which all of it is carried out. `from` is where the ids
/// begin that are new.
fn deeds(from: u128) -> Vec<Deed> {
    let id = |number: u128| Uuid::from_u128(from + number);
    let post = |path: String, body: Value, action, object, details, is_rare| Deed {
        method: "POST",
        path,
        body: body.to_string(),
        action,
        object,
        details,
        is_rare,
    };
    let transfer = |number, amount: i64| transfer_body(from + number, 1, 2, &json!(amount));
    let hold = |number, amount| changed(transfer(number, amount), "/kind", json!("card"));
    let of_hold = |number, what: &str| format!("/api/v1/ledger/holds/{}/{what}", id(number));
    let of_account = |number, what: &str| format!("{ACCOUNTS}/{}/{what}", id(number));
    let limits = json!([{ "direction": "outgoing", "period": "day", "amountMinorUnits": 500 }]);
    let limits_noted = json!([{
        "direction": "outgoing", "kind": null, "period": "day", "amountMinorUnits": 500,
        "count": null,
    }]);
    let account = json!({
        "id": id(50), "name": "Of Amina", "currencyCode": "MAD", "normalSide": "credit",
        "constraint": { "type": "unlimited" },
    });
    let account_noted = json!({
        "currencyCode": "MAD", "normalSide": "credit", "constraint": { "type": "unlimited" },
    });
    let lot = |ids: [Uuid; 2]| {
        let both = ids.map(|id| id.into_bytes()).concat();
        json!({
            "transactions": 2, "kinds": ["transfer"], "amounts": amounts(7), "transactionIds": ids,
            "transactionIdsSha256": sha256(&both),
        })
    };
    let why = json!({ "reason": "asked by the court" });
    vec![
        post(
            ACCOUNTS.into(),
            account,
            "ledger_account_requested",
            Some(id(50)),
            account_noted,
            true,
        ),
        Deed {
            method: "PUT",
            path: of_account(50, "limits"),
            body: json!({ "limits": limits }).to_string(),
            action: "ledger_limits_requested",
            object: Some(id(50)),
            details: json!({ "timeZone": "UTC", "limits": limits_noted }),
            is_rare: true,
        },
        post(
            TRANSACTIONS.into(),
            transfer(1, 40),
            "ledger_posting_requested",
            Some(id(1)),
            json!({ "kind": "transfer", "amounts": amounts(40) }),
            false,
        ),
        post(
            format!("{TRANSACTIONS}/bulk"),
            json!({ "transactions": [transfer(2, 3), transfer(3, 4)] }),
            "ledger_batch_requested",
            None,
            lot([id(2), id(3)]),
            false,
        ),
        post(
            format!("{TRANSACTIONS}/{}/reversals", id(1)),
            json!({ "id": id(4), "amountMinorUnits": 15, "reason": "charged twice" }),
            "ledger_reversal_requested",
            Some(id(1)),
            json!({ "reversalId": id(4), "amountMinorUnits": 15, "reason": "charged twice" }),
            true,
        ),
        post(
            "/api/v1/ledger/holds".into(),
            hold(5, 20),
            "ledger_hold_requested",
            Some(id(5)),
            json!({ "kind": "card", "amounts": amounts(20) }),
            false,
        ),
        post(
            of_hold(5, "capture"),
            json!({ "id": id(6), "amountMinorUnits": 5 }),
            "ledger_capture_requested",
            Some(id(5)),
            json!({ "transactionId": id(6), "amountMinorUnits": 5, "final": false }),
            false,
        ),
        post(
            of_hold(5, "void"),
            why.clone(),
            "ledger_void_requested",
            Some(id(5)),
            why.clone(),
            false,
        ),
        post(
            of_account(50, "freeze"),
            why.clone(),
            "ledger_freeze_requested",
            Some(id(50)),
            why.clone(),
            true,
        ),
        post(
            of_account(50, "unfreeze"),
            why.clone(),
            "ledger_unfreeze_requested",
            Some(id(50)),
            why.clone(),
            true,
        ),
        post(
            of_account(50, "close"),
            why.clone(),
            "ledger_close_requested",
            Some(id(50)),
            why,
            true,
        ),
    ]
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn ask(client: &Client, token: &str, deed: &Deed, query: &str) -> Answer {
    let path = format!("{}{query}", deed.path);
    client
        .send(request(deed.method, &path, Some(token)).body(deed.body.clone().into()).unwrap())
        .await
}

/// As it would be written down of this user.
fn record(world: &World, user: u128, deed: &Deed) -> AuditRecord {
    let mut details = deed.details.clone();
    details["sessionId"] = json!(Uuid::nil());
    AuditRecord {
        actor: Some(UserId(Uuid::from_u128(user))),
        action: deed.action,
        object: deed.object,
        details,
        at: kernel::Clock::now(world.clock.as_ref()),
        origin: Some(RequestOrigin::default()),
    }
}

/// Sends lines, and gives those of the answer.
pub(crate) async fn stream(
    client: &Client,
    token: &str,
    query: &str,
    lines: &[Value],
) -> Vec<Value> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let path = format!("{TRANSACTIONS}/stream{query}");
    let mut request = request("POST", &path, Some(token)).body(text.into()).unwrap();
    let media_type = "application/x-ndjson".parse().unwrap();
    request.headers_mut().insert(header::CONTENT_TYPE, media_type);
    client.text(request).await.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn who_changes_the_books_is_written_down(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    for deed in deeds(100) {
        let answer = ask(&client, STAFF, &deed, "").await;
        assert!(answer.status.is_success(), "{}: {}", deed.path, answer.body);
        assert_eq!(client.trail.take(), [record(&world, 1, &deed)]);
    }
    let lines = [9, 10].map(|id| transfer_body(id, 1, 2, &json!(2)));
    let results = stream(&client, STAFF, "", &lines).await;
    assert_eq!(results.last().unwrap()["posted"], 2, "{results:?}");
    let noted = client.trail.take();
    let [begun, ended] = noted.as_slice() else { panic!("{noted:?}") };
    assert_eq!((begun.action, ended.action), ("ledger_stream_requested", "ledger_stream_ended"));
    assert!(begun.object.is_some() && begun.object == ended.object);
    assert_eq!(begun.details, json!({ "sessionId": Uuid::nil() }));
    assert_eq!(ended.details["transactions"], 2);
    assert_eq!(ended.details["transactionIds"], json!([uuid(9), uuid(10)]));
    assert_eq!(ended.details["amounts"], amounts(4));
    let new = json!({ "name": "Nameless", "currencyCode": "MAD", "normalSide": "credit" });
    let opened = client.post(ACCOUNTS, &new).await;
    let object = client.trail.take()[0].object;
    assert_eq!(json!(object), opened.body["id"], "an id that we make is known before");
}

async fn what_cannot_be_written_down_is_not_done(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let mut deeds = deeds(100);
    let last = deeds.split_off(deeds.len() - 1).remove(0);
    for deed in &deeds {
        client.trail.set_broken(true);
        let before = world.rows().await;
        let refused = ask(&client, STAFF, deed, "").await;
        check(&refused, 503, "service_unavailable", "", deed.action);
        assert_eq!(world.rows().await, before, "{}", deed.action);
        client.trail.set_broken(false);
        assert!(ask(&client, STAFF, deed, "").await.status.is_success(), "{}", deed.action);
    }
    client.trail.set_broken(true);
    let before = world.rows().await;
    check(&ask(&client, STAFF, &last, "").await, 503, "service_unavailable", "", last.action);
    let results = stream(&client, STAFF, "", &[transfer_body(9, 1, 2, &json!(2))]).await;
    assert_eq!(results[0]["code"], "service_unavailable");
    assert_eq!(world.rows().await, before);
}

async fn of_api_clients_what_is_rare_is_written_down(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    for deed in deeds(100) {
        // What is not written down does not wait for the trail either.
        client.trail.set_broken(!deed.is_rare);
        let answer = ask(&client, PROGRAM, &deed, "").await;
        assert!(answer.status.is_success(), "{}: {}", deed.path, answer.body);
        let expected = if deed.is_rare { vec![record(&world, 2, &deed)] } else { vec![] };
        assert_eq!(client.trail.take(), expected);
    }
    let results = stream(&client, PROGRAM, "", &[transfer_body(9, 1, 2, &json!(2))]).await;
    assert_eq!(results.last().unwrap()["posted"], 1);
    assert_eq!(client.trail.take(), []);
}

async fn trying_is_not_written_down(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let mut tried = 0;
    for deed in deeds(100) {
        let before = world.rows().await;
        let dry = ask(&client, STAFF, &deed, "?dryRun=true").await;
        if dry.status == 200 && world.rows().await == before {
            assert_eq!(client.trail.take(), [], "{}", deed.action);
            tried += 1;
        }
        assert!(ask(&client, STAFF, &deed, "").await.status.is_success());
        client.trail.take();
    }
    assert_eq!(tried, 5, "postings, batches, reversals, holds and captures can be tried");
    let line = [transfer_body(9, 1, 2, &json!(2))];
    stream(&client, STAFF, "?dryRun=true", &line).await;
    assert_eq!(client.trail.take(), []);
}

async fn a_large_batch_is_told_in_few_words(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let ids = 1_000..1_250_u128;
    let transactions: Vec<Value> = ids
        .clone()
        .map(|id| changed(transfer_body(id, 1, 2, &json!(1)), "/kind", json!(format!("k{id}"))))
        .collect();
    let batch = json!({ "transactions": transactions });
    assert_eq!(client.post(&format!("{TRANSACTIONS}/bulk"), &batch).await.status, 200);
    let all: Vec<u8> = ids.clone().flat_map(|id| Uuid::from_u128(id).into_bytes()).collect();
    let [noted] = <[AuditRecord; 1]>::try_from(client.trail.take()).unwrap();
    assert_eq!(noted.details["transactions"], 250);
    assert_eq!(noted.details["amounts"], amounts(250));
    assert_eq!(noted.details["transactionIdsSha256"], sha256(&all));
    let first: Vec<String> = ids.take(100).map(uuid).collect();
    assert_eq!(noted.details["transactionIds"], json!(first));
    assert_eq!(noted.details["kinds"].as_array().unwrap().len(), 100);
}

async fn what_is_refused_later_is_written_down_too(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let much = client.post(TRANSACTIONS, &transfer_body(9, 2, 3, &json!(1_000))).await;
    check(&much, 422, "insufficient_funds", "", "too much");
    assert_eq!(client.trail.take().len(), 1);
    let invalid = client.post(TRANSACTIONS, &json!({})).await;
    assert_eq!(invalid.status, 422);
    assert_eq!(client.trail.take(), [], "it says nothing that could be done");
}

/// A stream whose lines are still to come, and the body of its answer.
async fn begin_stream(client: &Client) -> (Sender<Bytes>, Body) {
    let (sender, body) = Channel::new(1);
    let mut request = request("POST", &format!("{TRANSACTIONS}/stream"), Some(STAFF))
        .body(Body::new(body))
        .unwrap();
    let media_type = "application/x-ndjson".parse().unwrap();
    request.headers_mut().insert(header::CONTENT_TYPE, media_type);
    (sender, client.begin(request).await.into_body())
}

async fn a_stream_whose_end_cannot_be_written_down_is_not_done(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let (mut sender, mut answer) = begin_stream(&client).await;
    let line = transfer_body(9, 1, 2, &json!(2));
    sender.send_data(Bytes::from(format!("{line}\n"))).await.unwrap();
    answer.frame().await.unwrap().unwrap();
    client.trail.set_broken(true);
    drop(sender);
    let rest = answer.collect().await.unwrap().to_bytes();
    let last: Value = serde_json::from_slice(rest.trim_ascii()).unwrap();
    assert_eq!((&last["done"], &last["code"]), (&json!(false), &json!("service_unavailable")));
    assert_eq!(last["resumeFromLine"], 1);
    client.trail.set_broken(false);
    client.trail.take();
    let results = stream(&client, STAFF, "", &[line]).await;
    assert_eq!(results.last().unwrap()["done"], true);
    // The first stream tries once more to write down its end, and may come in between.
    let noted = client.trail.take();
    let ended = noted.iter().rfind(|one| one.action == "ledger_stream_ended").unwrap();
    assert_eq!(ended.details["transactionIds"], json!([uuid(9)]));
}

async fn a_stream_that_is_cut_off_is_written_down_as_far_as_it_came(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let (mut sender, mut answer) = begin_stream(&client).await;
    let line = |id| Bytes::from(format!("{}\n", transfer_body(id, 1, 2, &json!(2))));
    sender.send_data(line(9)).await.unwrap();
    answer.frame().await.unwrap().unwrap();
    // Nobody takes the result of the second one.
    drop(answer);
    sender.send_data(line(10)).await.unwrap();
    let began = Instant::now();
    let mut noted = Vec::new();
    while noted.len() < 2 {
        noted.append(&mut client.trail.take());
        assert!(began.elapsed() < Duration::from_secs(10), "it has no end: {noted:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let [begun, ended] = noted.as_slice() else { panic!("{noted:?}") };
    assert_eq!((begun.action, ended.action), ("ledger_stream_requested", "ledger_stream_ended"));
    assert_eq!(ended.details["transactionIds"], json!([uuid(9), uuid(10)]));
}
