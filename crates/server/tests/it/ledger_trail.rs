//! Every operation of the OpenAPI document that changes the books is in the audit trail when a person asks
//! for it, before it is carried out; what API clients do all the time is in the journal with their ids. One
//! that is new has to be told to this test.

use crate::support::{ADMIN, Answer, Client, Server, World, id};
use hyper::Method;
use serde_json::{Value, json};
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;
use uuid::Uuid;

store::on_every_store! {
    whoever_changes_the_books_is_in_the_trail,
    nothing_is_changed_that_is_not_in_the_trail,
}

const LEDGER: &str = "/api/v1/ledger";

/// An operation that changes the books.
struct Change {
    method: String,
    path: String,
    /// Its `operationId`.
    name: String,
}

/// A request for one.
struct Request {
    method: Method,
    path: String,
    media_type: &'static str,
    body: String,
    /// What it is about: these ids are in the entry of the trail.
    ids: Vec<Uuid>,
    /// Whether it is in the trail when an API client asks for it.
    is_rare: bool,
}

async fn changes(server: &Server) -> Vec<Change> {
    let document = server.client.get("/openapi.json").await.expect(200);
    let operations = web::openapi::operations(&document).into_iter();
    let changes =
        operations.filter(|(method, path, _)| method != "GET" && path.starts_with(LEDGER));
    let changes = changes.map(|(method, path, operation)| Change {
        method,
        path,
        name: operation["operationId"].as_str().unwrap().to_owned(),
    });
    let changes: Vec<Change> = changes.collect();
    assert!(changes.len() >= 12, "the document is read");
    changes
}

fn new_id() -> Uuid {
    Uuid::from_bytes(random())
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

fn transfer(id: Uuid, from: Uuid, to: Uuid) -> Value {
    let leg = |account, direction| {
        json!({
            "accountId": account, "direction": direction, "amountMinorUnits": 100,
            "currencyCode": "MAD",
        })
    };
    json!({ "id": id, "kind": "test", "legs": [leg(from, "debit"), leg(to, "credit")] })
}

fn account(id: Uuid) -> Value {
    json!({
        "id": id, "name": "A test", "currencyCode": "MAD", "normalSide": "debit",
        "constraint": { "type": "unlimited" },
    })
}

impl Change {
    /// A request that will be carried out, about things of its own.
    async fn request(&self, staff: &Client) -> Request {
        let [one, other, unused] = [new_id(), new_id(), new_id()];
        for account_id in [one, other, unused] {
            staff.post(&format!("{LEDGER}/accounts"), &account(account_id)).await.expect(201);
        }
        let (posted, held, new) = (new_id(), new_id(), new_id());
        let transactions = format!("{LEDGER}/transactions");
        staff.post(&transactions, &transfer(posted, one, other)).await.expect(201);
        staff.post(&format!("{LEDGER}/holds"), &transfer(held, one, other)).await.expect(201);
        let why = json!({ "reason": "a test" });
        let (of, body, ids, is_rare) = match self.name.as_str() {
            "openLedgerAccount" => (new, account(new), vec![new], true),
            "setLedgerAccountLimits" => (unused, json!({ "limits": [] }), vec![unused], true),
            "freezeLedgerAccount" | "unfreezeLedgerAccount" | "closeLedgerAccount" => {
                (unused, why, vec![unused], true)
            }
            "postLedgerTransaction" => (new, transfer(new, one, other), vec![new], false),
            "postLedgerTransactions" => {
                (new, json!({ "transactions": [transfer(new, one, other)] }), vec![new], false)
            }
            "streamLedgerTransactions" => (new, transfer(new, one, other), vec![new], false),
            "reverseLedgerTransaction" => {
                (posted, json!({ "id": new, "reason": "a test" }), vec![posted, new], true)
            }
            "createLedgerHold" => (new, transfer(new, one, other), vec![new], false),
            "captureLedgerHold" => (held, json!({ "id": new }), vec![held, new], false),
            "voidLedgerHold" => (held, why, vec![held], false),
            other => {
                panic!("{other} changes the books: see that it is in the trail, and say so here")
            }
        };
        let is_stream = self.path.ends_with("/stream");
        Request {
            method: Method::from_bytes(self.method.as_bytes()).unwrap(),
            path: self.path.replace("{id}", &of.to_string()),
            media_type: if is_stream { "application/x-ndjson" } else { "application/json" },
            body: body.to_string(),
            ids,
            is_rare,
        }
    }
}

impl Request {
    async fn send(&self, client: &Client) -> Answer {
        let headers = [("user-agent", "tests"), ("content-type", self.media_type)];
        client.send_text(self.method.clone(), &self.path, &headers, &self.body).await.unwrap()
    }
}

/// What the trail has of somebody's changes of the books, oldest first.
async fn entries(staff: &Client, actor: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/admin/audit-events?actorId={actor}&limit=200{cursor}");
        let mut page = staff.get(&path).await.expect(200);
        found.append(page["items"].as_array_mut().unwrap());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    found.retain(|entry| entry["action"].as_str().unwrap().starts_with("ledger_"));
    found.reverse();
    found
}

/// An API client that may change the books: its id and itself.
async fn program(server: &Server, admin: &Client) -> (String, Client) {
    let body = json!({ "name": "Program", "scopes": ["ledger:write"] });
    let made = admin.post("/api/v1/admin/api-clients", &body).await.expect(201);
    let secret = made["clientSecret"].as_str().unwrap();
    let form =
        format!("grant_type=client_credentials&client_id={}&client_secret={secret}", id(&made));
    let token = server.client.post_form("/api/v1/oauth/token", form).await.expect(200);
    (id(&made), server.client.with_token(token["access_token"].as_str().unwrap()))
}

async fn whoever_changes_the_books_is_in_the_trail(database: TestDatabase) {
    let world = World::new(database);
    let server = world.serve().await;
    let admin = server.client.signed_in(ADMIN).await;
    // Somebody else than who prepares things, so that all there is of them is about the request.
    let person = server.client.signed_in(ADMIN).await;
    let sessions = person.get("/api/v1/me/sessions").await.expect(200);
    let sessions = sessions["items"].as_array().unwrap();
    let session = &sessions.iter().find(|one| one["isCurrent"] == true).unwrap()["id"];
    let person_id = id(&person.get("/api/v1/me").await.expect(200));
    let (program_id, program) = program(&server, &admin).await;
    for change in changes(&server).await {
        let request = change.request(&admin).await;
        let before = entries(&admin, &person_id).await.len();
        let answer = request.send(&person).await;
        assert!((200..300).contains(&answer.status), "{}: {}", change.name, answer.text);
        let all = entries(&admin, &person_id).await;
        let noted = &all[before..];
        let text = json!(noted).to_string();
        assert!(!noted.is_empty(), "{} is not in the trail", change.name);
        assert!(request.ids.iter().all(|id| text.contains(&id.to_string())), "{text}");
        for entry in noted {
            assert_eq!(&entry["details"]["sessionId"], session, "{entry}");
            assert_eq!(entry["clientAddress"], "127.0.0.1", "{entry}");
            assert_eq!(entry["userAgent"], "tests", "{entry}");
        }

        let request = change.request(&admin).await;
        let before = entries(&admin, &program_id).await.len();
        let answer = request.send(&program).await;
        assert!((200..300).contains(&answer.status), "{}: {}", change.name, answer.text);
        let noted = entries(&admin, &program_id).await.len() - before;
        assert_eq!(noted, usize::from(request.is_rare), "{} by an API client", change.name);
        // What is not there is in the journal, with the same id.
        if !request.is_rare {
            let is_stream = request.media_type != "application/json";
            let posted = format!("{LEDGER}/transactions/{}", request.ids[0]);
            let told = if is_stream { admin.get(&posted).await.text } else { answer.text };
            assert!(told.contains(&program_id), "{}: {told}", change.name);
        }
    }
    let verified = world.run(&["audit", "verify"]).await;
    assert!(verified.success, "{}{}", verified.stdout, verified.stderr);
    assert!(server.stop().await);
}

async fn nothing_is_changed_that_is_not_in_the_trail(database: TestDatabase) {
    let world = World::new(database);
    let server = world.serve().await;
    let admin = server.client.signed_in(ADMIN).await;
    let (identity, ledger) = (world.store("identity").await, world.store("ledger").await);
    let run = async |sql: &str| {
        let tx = identity.begin().await.unwrap();
        tx.execute_unprepared(sql).await.unwrap();
        tx.commit().await.unwrap();
    };
    let recorded = async || {
        let head = ledger.statement("select last_sequence from journal_head", []);
        let head = ledger.read().query_one_raw(head).await.unwrap().unwrap();
        head.try_get_by_index::<i64>(0).unwrap()
    };
    for change in changes(&server).await {
        let request = change.request(&admin).await;
        let before = recorded().await;
        run("alter table audit_events rename to audit_events_away").await;
        let answer = request.send(&admin).await;
        run("alter table audit_events_away rename to audit_events").await;
        assert_eq!(answer.status, 503, "{}: {}", change.name, answer.text);
        assert_eq!(answer.body["code"], "service_unavailable", "{}", change.name);
        assert_eq!(recorded().await, before, "{}", change.name);
        let answer = request.send(&admin).await;
        assert!((200..300).contains(&answer.status), "{}: {}", change.name, answer.text);
    }
    assert!(server.stop().await);
}
