//! Posting in a stream: results in order, faults in their place, and nothing lost or doubled when the
//! connection is.

use crate::world::*;
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use ledger::EngineConfig;
use ledger_api::{AccountStatus, Ledger as _, StatusChange};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::testing::TestDatabase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;
use web::Limits;

store::on_every_store! {
    each_line_has_its_result_in_its_place,
    a_chain_is_posted_whole_or_not_at_all,
    results_come_while_lines_are_still_sent,
    no_limit_of_other_requests_cuts_a_stream,
    a_slow_reader_holds_the_sender_back,
    a_line_that_is_too_long_ends_the_stream,
    a_cut_stream_is_resumed_by_ids,
    many_streams_wait_for_room_in_the_queue,
    a_ledger_that_stops_says_where_to_resume,
    a_dry_stream_records_nothing,
    whatever_is_not_a_stream_is_refused,
}

const PATH: &str = "/api/v1/ledger/transactions/stream";

/// 100,000 where that is quick.
const MANY: usize = if cfg!(debug_assertions) { 20_000 } else { 100_000 };

fn line(id: usize, from: u128, to: u128, amount: i64) -> Value {
    let leg = |account, direction| {
        json!({"accountId": uuid(account), "direction": direction, "amountMinorUnits": amount,
               "currencyCode": "MAD"})
    };
    let id = uuid(1_000_000 + u128::try_from(id).unwrap());
    json!({"id": id, "kind": "transfer", "legs": [leg(from, "debit"), leg(to, "credit")]})
}

fn linked(mut line: Value) -> Value {
    line["linked"] = json!(true);
    line
}

async fn open(world: &World, path: &str, media_type: &str, body: Body) -> (u16, HeaderMap, Body) {
    let request = Request::post(path)
        .header(header::AUTHORIZATION, format!("Bearer {STAFF}"))
        .header(header::CONTENT_TYPE, media_type)
        .body(body)
        .unwrap();
    let (parts, body) = world.router.clone().oneshot(request).await.unwrap().into_parts();
    (parts.status.as_u16(), parts.headers, body)
}

async fn answer(world: &World, body: impl Into<Body>) -> Body {
    let (status, headers, answer) = open(world, PATH, "application/x-ndjson", body.into()).await;
    assert_eq!(status, 200);
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-ndjson");
    answer
}

/// The results and the last line.
async fn send(world: &World, lines: &[Value]) -> (Vec<Value>, Value) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    parsed(&answer(world, text).await.collect().await.unwrap().to_bytes())
}

fn parsed(bytes: &[u8]) -> (Vec<Value>, Value) {
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let mut lines: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    let last = lines.pop().unwrap();
    (lines, last)
}

async fn balance(world: &World, account: u128) -> i64 {
    world.ledger.account(account_id(account)).await.unwrap().unwrap().posted()
}

async fn each_line_has_its_result_in_its_place(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(3).await;
    let change =
        StatusChange { account: account_id(3), to: AccountStatus::Frozen, reason: "a test".into() };
    world.ledger.change_status(change).await.unwrap();
    let mut without_id = line(9, 1, 2, 5);
    without_id.as_object_mut().unwrap().remove("id");
    let mut unknown_member = line(10, 1, 2, 5);
    unknown_member["colour"] = json!("red");
    let text = [
        line(1, 1, 2, 10).to_string(),
        "{\"id\": ".to_owned(),
        line(2, 1, 3, 10).to_string(),
        String::new(),
        " \r".to_owned(),
        line(1, 1, 2, 10).to_string(),
        line(1, 1, 2, 11).to_string(),
        without_id.to_string(),
        unknown_member.to_string(),
        line(3, 1, 2, 0).to_string(),
        "\u{fe}".to_owned(),
        "[]".to_owned(),
        linked(line(4, 1, 9, 10)).to_string(),
        line(5, 1, 2, 10).to_string(),
        // The last line has no end.
        line(6, 2, 1, 3).to_string(),
    ]
    .join("\n");
    let mut bytes = text.into_bytes();
    // Not UTF-8.
    let at = bytes.windows(2).position(|pair| pair == "\u{fe}".as_bytes()).unwrap();
    bytes[at] = 0xff;
    let (results, last) = parsed(&answer(&world, bytes).await.collect().await.unwrap().to_bytes());
    let found: Vec<(u64, &str, Option<&str>)> = results
        .iter()
        .map(|one| {
            let status = one["status"].as_str().unwrap();
            (one["line"].as_u64().unwrap(), status, one["code"].as_str())
        })
        .collect();
    let invalid = Some("validation_failed");
    assert_eq!(
        found,
        [
            (1, "posted", None),
            (2, "refused", invalid),
            (3, "refused", Some("account_not_open")),
            (6, "replayed", None),
            (7, "refused", Some("idempotency_key_reused")),
            (8, "refused", invalid),
            (9, "refused", invalid),
            (10, "refused", invalid),
            (11, "refused", invalid),
            (12, "refused", invalid),
            (13, "refused", Some("account_not_found")),
            (14, "refused", Some("linked_refused")),
            (15, "posted", None),
        ],
        "{results:#?}"
    );
    assert_eq!(last, json!({"done": true, "lines": 13, "posted": 2, "replayed": 1, "refused": 10}));
    let detail = |at: usize| results[at]["detail"].as_str().unwrap();
    assert!(detail(5).starts_with("/id "), "{}", detail(5));
    assert!(detail(7).starts_with("/legs/0/amountMinorUnits must "), "{}", detail(7));
    assert_eq!(detail(11), "line 13, which this one is linked to, was refused");
    assert_eq!(results[7]["transactionId"], line(3, 1, 2, 0)["id"]);
    let id = results[0]["transactionId"].as_str().unwrap();
    let one = world.read(&format!("/api/v1/ledger/transactions/{id}")).await;
    assert_eq!(one["sequence"], results[0]["sequence"]);
    assert_eq!(balance(&world, 2).await, 7);
    // A body with nothing in it is a stream too.
    let (results, last) = send(&world, &[]).await;
    assert_eq!((results.len(), &last["done"], &last["lines"]), (0, &json!(true), &json!(0)));
}

async fn a_chain_is_posted_whole_or_not_at_all(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(2).await;
    // Chains of three across the ends of batches; the middle one of every tenth is refused.
    let mut lines = Vec::new();
    for chain in 0..1_000 {
        let to = if chain % 10 == 3 { 9 } else { 2 };
        lines.push(linked(line(chain * 3, 1, 2, 1)));
        lines.push(linked(line(chain * 3 + 1, 1, to, 1)));
        lines.push(line(chain * 3 + 2, 1, 2, 1));
    }
    let (results, last) = send(&world, &lines).await;
    for (at, result) in results.iter().enumerate() {
        let refused = (at / 3) % 10 == 3;
        assert_eq!(result["line"], at + 1);
        let code = match (refused, at % 3) {
            (false, _) => Value::Null,
            (true, 1) => json!("account_not_found"),
            (true, _) => json!("linked_refused"),
        };
        assert_eq!(result["code"], code, "{result}");
        if refused && at % 3 != 1 {
            let other = format!("line {}, which", at / 3 * 3 + 2);
            assert!(result["detail"].as_str().unwrap().starts_with(&other), "{result}");
        }
    }
    assert_eq!((&last["posted"], &last["refused"]), (&json!(2_700), &json!(300)));
    assert_eq!(balance(&world, 2).await, 2_700);
    // The last line of all is linked with a next that never comes.
    let (results, _) =
        send(&world, &[linked(line(9_000, 1, 2, 1)), linked(line(9_001, 1, 2, 1))]).await;
    assert_eq!(results[0]["code"], "linked_refused");
    assert_eq!(results[1]["code"], "validation_failed");
    // Longer than any chain may be.
    let too_long: Vec<Value> =
        (0..1_001)
            .map(|at| {
                if at < 1_000 { linked(line(at + 10_000, 1, 2, 1)) } else { line(20_000, 1, 2, 1) }
            })
            .collect();
    let (results, last) = send(&world, &too_long).await;
    assert_eq!((results.len(), &last["refused"]), (1_001, &json!(1_001)));
    assert_eq!(balance(&world, 2).await, 2_700);
}

/// The next whole lines of an answer.
async fn next_results(answer: &mut Body) -> Vec<Value> {
    let frame = tokio::time::timeout(Duration::from_secs(20), answer.frame()).await;
    let Some(frame) = frame.expect("results come by themselves") else { return Vec::new() };
    let data = frame.unwrap().into_data().unwrap();
    let lines = data.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

async fn results_come_while_lines_are_still_sent(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(2).await;
    let (mut lines, body) = Channel::<Bytes>::new(1);
    let mut answer = answer(&world, Body::new(body)).await;
    for id in 0..3 {
        let text = format!("{}\n", line(id, 1, 2, 1));
        // In two parts, with the end of the line in the second.
        let (first, rest) = text.split_at(20);
        lines.send_data(Bytes::from(first.to_owned())).await.unwrap();
        lines.send_data(Bytes::from(rest.to_owned())).await.unwrap();
        let results = next_results(&mut answer).await;
        assert_eq!(results.len(), 1);
        assert_eq!(
            (&results[0]["line"], &results[0]["status"]),
            (&json!(id + 1), &json!("posted"))
        );
    }
    drop(lines);
    assert_eq!(next_results(&mut answer).await[0]["done"], true);
    assert_eq!(next_results(&mut answer).await, [Value::Null; 0]);
}

async fn no_limit_of_other_requests_cuts_a_stream(database: TestDatabase) {
    let mut world = World::new(&database).await.with_accounts(2).await;
    let limits = Limits { body_bytes_max: 100, duration_max: Duration::from_millis(50) };
    world.router = routes(&world.ledger, limits);
    let (mut lines, body) = Channel::<Bytes>::new(1);
    let mut answer = answer(&world, Body::new(body)).await;
    for id in 0..4 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        lines.send_data(format!("{}\n", line(id, 1, 2, 1)).into()).await.unwrap();
        assert_eq!(next_results(&mut answer).await[0]["status"], "posted");
    }
    drop(lines);
    assert_eq!(next_results(&mut answer).await[0]["done"], true);
}

async fn a_slow_reader_holds_the_sender_back(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(2).await;
    let (mut lines, body) = Channel::<Bytes>::new(1);
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let sending = tokio::spawn(async move {
        for id in 0..MANY {
            let text = format!("{}\n", line(id, 1, 2, 1));
            lines.send_data(text.into()).await.unwrap();
            counter.store(id + 1, Ordering::SeqCst);
        }
    });
    let mut answer = answer(&world, Body::new(body)).await;
    // Nothing is read until nothing more is taken.
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let now = sent.load(Ordering::SeqCst);
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    // Four batches in flight, one that is gathered, and answers on their way.
    assert!(before <= 9_000, "{before} lines were taken before a result was read");
    let (mut next, mut ahead, mut last) = (1, 0, Value::Null);
    loop {
        let results = next_results(&mut answer).await;
        if results.is_empty() {
            break;
        }
        for result in results {
            if result.get("done").is_some() {
                last = result;
                continue;
            }
            assert_eq!(result["line"], next, "in the order of the lines");
            assert_eq!(result["status"], "posted");
            next += 1;
        }
        ahead = ahead.max(sent.load(Ordering::SeqCst).saturating_sub(next));
    }
    sending.await.unwrap();
    assert!(ahead <= 9_000, "the sender was {ahead} lines ahead");
    assert_eq!(
        last,
        json!({"done": true, "lines": MANY, "posted": MANY, "replayed": 0, "refused": 0})
    );
    assert_eq!(balance(&world, 2).await, i64::try_from(MANY).unwrap());
}

async fn a_line_that_is_too_long_ends_the_stream(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(2).await;
    let text = format!(
        "{}\n{}\n{}{}\n{}\n",
        line(1, 1, 2, 1),
        linked(line(2, 1, 2, 1)),
        line(3, 1, 2, 1),
        " ".repeat(1 << 20),
        line(4, 1, 2, 1)
    );
    let (results, last) = parsed(&answer(&world, text).await.collect().await.unwrap().to_bytes());
    // The second waits for the third, with which it is linked.
    assert_eq!(results.len(), 1);
    assert_eq!(last["done"], false);
    assert_eq!(last["code"], "line_too_long");
    assert_eq!(last["resumeFromLine"], 2);
    assert_eq!(balance(&world, 2).await, 1);
}

/// A client without manners: it speaks HTTP over a socket and goes away in the middle.
async fn a_cut_stream_is_resumed_by_ids(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(2).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = world.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let total = 5_000;
    let text = |from: usize| -> String {
        (from..total).map(|id| format!("{}\n", line(id, 1, 2, 1))).collect()
    };
    for part in [10, 3, 2] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {STAFF}\r\n\
             content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
            text(0).len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let cut = text(0).len() / part;
        socket.write_all(&text(0).as_bytes()[..cut]).await.unwrap();
        let mut some = [0; 200];
        socket.read_exact(&mut some).await.unwrap();
        assert!(some.starts_with(b"HTTP/1.1 200 OK"));
        drop(socket);
    }
    // What was on its way is finished or not; by its id each line is posted once all the same.
    let (results, last) =
        parsed(&answer(&world, text(0)).await.collect().await.unwrap().to_bytes());
    assert_eq!(results.len(), total);
    assert_eq!((&last["done"], &last["refused"]), (&json!(true), &json!(0)));
    assert!(last["replayed"].as_u64().unwrap() > 0, "{last}");
    assert_eq!(balance(&world, 2).await, i64::try_from(total).unwrap());
    assert_eq!(
        ledger::verify(&world.store, &ledger::Verification::default(), |_, _| ())
            .await
            .unwrap()
            .findings,
        []
    );
}

async fn many_streams_wait_for_room_in_the_queue(database: TestDatabase) {
    let config = EngineConfig { queue_max: 1, group_max: 50, ..EngineConfig::default() };
    let world = World::with(&database, config).await.with_accounts(2).await;
    let streams = (0..8).map(|stream| {
        let text: String =
            (0..300).map(|id| format!("{}\n", line(stream * 1_000 + id, 1, 2, 1))).collect();
        let world = &world;
        async move { parsed(&answer(world, text).await.collect().await.unwrap().to_bytes()).1 }
    });
    for last in join_all(streams).await {
        assert_eq!((&last["done"], &last["posted"]), (&json!(true), &json!(300)));
    }
    assert_eq!(balance(&world, 2).await, 2_400);
}

async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, result) in pending.iter_mut().zip(&mut done) {
            if result.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *result = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

async fn a_ledger_that_stops_says_where_to_resume(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(2).await;
    let (mut lines, body) = Channel::<Bytes>::new(1);
    let mut answer = answer(&world, Body::new(body)).await;
    lines.send_data(format!("{}\n", line(1, 1, 2, 1)).into()).await.unwrap();
    assert_eq!(next_results(&mut answer).await[0]["status"], "posted");
    world.ledger.shut_down().await;
    lines.send_data(format!("\n{}\n", line(2, 1, 2, 1)).into()).await.unwrap();
    let last = next_results(&mut answer).await.remove(0);
    assert_eq!(last["done"], false);
    assert_eq!(last["code"], "service_unavailable");
    assert_eq!(last["resumeFromLine"], 3);
    assert_eq!(last["posted"], 1);
    assert_eq!(next_results(&mut answer).await, [Value::Null; 0]);
}

async fn a_dry_stream_records_nothing(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(2).await;
    let text = format!("{}\n{}\n", line(1, 1, 2, 1), line(2, 1, 9, 1));
    let path = format!("{PATH}?dryRun=true");
    let (_, _, body) = open(&world, &path, "application/x-ndjson", text.into()).await;
    let (results, last) = parsed(&body.collect().await.unwrap().to_bytes());
    assert_eq!(results[0]["status"], "posted");
    assert_eq!(results[1]["code"], "account_not_found");
    assert_eq!(last["done"], true);
    assert_eq!(balance(&world, 2).await, 0);
}

async fn whatever_is_not_a_stream_is_refused(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(2).await;
    for (path, media_type, status, code) in [
        (PATH.to_owned(), "application/json", 415, "unsupported_media_type"),
        (format!("{PATH}?atomic=true"), "application/x-ndjson", 422, "validation_failed"),
    ] {
        let body = format!("{}\n", line(1, 1, 2, 1));
        let (found, headers, body) = open(&world, &path, media_type, body.into()).await;
        assert_eq!(found, status);
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        let body: Value =
            serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(body["code"], code);
    }
    assert_eq!(balance(&world, 2).await, 0);
}
