use crate::world::{DELETE, DETOKENIZE, NUMBER, PASSWORD, SEARCH, TOKENS, World, run};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    who_learnt_a_number_and_why_is_written_down,
    it_takes_the_permission_and_a_fresh_authentication,
    what_cannot_be_written_down_is_not_done,
    an_administrator_cannot_make_a_card_officer,
}

fn wanted(token: &str) -> Value {
    json!({ "token": token, "reason": "Dispute 2026-114" })
}

async fn who_learnt_a_number_and_why_is_written_down(database: TestDatabase) {
    let world = World::open(&database).await;
    let (_, admin) = world.staff("admin", &["Admin"]).await;
    let (officer_id, officer) = world.staff("officer", &["CardOfficer"]).await;
    let token = world.tokenized(&admin, NUMBER).await;
    let learnt = world.post(&officer, DETOKENIZE, &wanted(&token)).await;
    assert_eq!((learnt.status, &learnt.body), (200, &json!({ "cardNumber": NUMBER })));
    let entries = world.audited("card_number_disclosed").await;
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(entry.actor, Some(officer_id));
    assert_eq!(entry.user_agent, "tests");
    assert_eq!(entry.details, wanted(&token));
    assert_eq!(world.events().await.last().unwrap().event_type, "cards.number_disclosed");
    let unknown = world.post(&officer, DETOKENIZE, &wanted("411111000000")).await;
    assert_eq!(unknown.problem(), (404, "not_found"));
    let report = identity::verify_audit_trail(&world.identity_store).await.unwrap();
    assert_eq!(report.findings, []);
}

async fn it_takes_the_permission_and_a_fresh_authentication(database: TestDatabase) {
    let world = World::open(&database).await;
    let (_, admin) = world.staff("admin", &["Admin"]).await;
    let (_, officer) = world.staff("officer", &["CardOfficer"]).await;
    let (_, auditor) = world.staff("auditor", &["Auditor", "Compliance", "Support"]).await;
    let token = world.tokenized(&admin, NUMBER).await;
    for (who, path, status) in [
        ("", DETOKENIZE, 401),
        (&admin, DETOKENIZE, 403),
        (&auditor, DETOKENIZE, 403),
        ("", DELETE, 401),
        (&officer, DELETE, 403),
        (&auditor, DELETE, 403),
    ] {
        assert_eq!(world.post(who, path, &wanted(&token)).await.status, status, "{path}");
    }
    let tokenize = json!({ "cardNumber": NUMBER });
    for (who, status) in [("", 401), (officer.as_str(), 403), (&auditor, 403)] {
        assert_eq!(world.post(who, TOKENS, &tokenize).await.status, status);
        let found = world.post(who, SEARCH, &json!({ "token": token })).await;
        assert_eq!(found.status, status);
    }
    world.clock.advance(Duration::from_mins(6));
    for (who, path) in [(&officer, DETOKENIZE), (&admin, DELETE)] {
        let stale = world.post(who, path, &wanted(&token)).await;
        assert_eq!(stale.problem(), (401, "insufficient_user_authentication"));
        assert_eq!(stale.body["maxAgeSeconds"], 300);
    }
    assert_eq!(world.tokenized(&admin, NUMBER).await, token, "putting in needs none");
    let again = json!({ "password": PASSWORD });
    let fresh = world.post(&officer, "/api/v1/auth/reauthenticate", &again).await;
    let fresh = fresh.body["accessToken"].as_str().unwrap();
    assert_eq!(world.post(fresh, DETOKENIZE, &wanted(&token)).await.status, 200);
    assert_eq!(world.audited("card_number_disclosed").await.len(), 1);
}

async fn what_cannot_be_written_down_is_not_done(database: TestDatabase) {
    let world = World::open(&database).await;
    let (_, admin) = world.staff("admin", &["Admin"]).await;
    let (_, officer) = world.staff("officer", &["CardOfficer"]).await;
    let token = world.tokenized(&admin, NUMBER).await;
    run(&world.identity_store, "alter table audit_events rename to audit_events_away").await;
    for (who, path, body) in [
        (&officer, DETOKENIZE, wanted(&token)),
        (&admin, DELETE, wanted(&token)),
        (&admin, TOKENS, json!({ "cardNumber": "5555555555554444" })),
    ] {
        let refused = world.post(who, path, &body).await;
        assert_eq!(refused.problem(), (503, "service_unavailable"), "{path}");
        assert!(!refused.body.to_string().contains(NUMBER));
    }
    run(&world.identity_store, "alter table audit_events_away rename to audit_events").await;
    assert_eq!(world.events().await.len(), 1, "nothing was done");
    let learnt = world.post(&officer, DETOKENIZE, &wanted(&token)).await;
    assert_eq!(learnt.status, 200);
}

async fn an_administrator_cannot_make_a_card_officer(database: TestDatabase) {
    let world = World::open(&database).await;
    let (_, admin) = world.staff("admin", &["Admin"]).await;
    let (friend, _) = world.staff("friend", &[]).await;
    let path = format!("/api/v1/admin/users/{friend}/roles");
    let body = json!({ "role": "CardOfficer", "reason": "a test" });
    assert_eq!(world.post(&admin, &path, &body).await.problem(), (403, "permission_not_held"));
    let role = json!({
        "name": "Reader", "description": "a test", "permissions": ["cards:detokenize"],
    });
    let made = world.post(&admin, "/api/v1/admin/roles", &role).await;
    assert_eq!(made.problem(), (403, "permission_not_held"));
}
