//! What the routes refuse.

use crate::world::*;
use store::testing::TestDatabase;

store::on_every_store! {
    queries_that_make_no_sense_are_refused,
    unknown_accounts_have_no_balance,
}

async fn queries_that_make_no_sense_are_refused(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(1).await;
    let account = format!("/api/v1/ledger/accounts/{}", uuid(1));
    let (early, late) = ("2026-11-23T12:00:00Z", "2026-11-24T12:00:00Z");
    for (path, pointer) in [
        (format!("{account}/balance?at=yesterday"), "query"),
        (format!("{account}/balance?basis=booked"), "query"),
        (format!("{account}/balance?when={early}"), "query"),
        (format!("{account}/balance?at={early}&at={late}"), "query"),
        ("/api/v1/ledger/accounts/1/balance".to_owned(), "path"),
        (format!("{account}/statement"), "query"),
        (format!("{account}/statement?from={early}"), "query"),
        (format!("{account}/statement?from={late}&to={early}"), "to"),
        (format!("{account}/statement?from={early}&to={early}"), "to"),
        (format!("{account}/statement?from={early}&to={late}&basis=x"), "query"),
        (format!("{account}/entries?from={late}&to={early}"), "to"),
        (format!("{account}/entries?limit=0&from={early}"), "limit"),
        (format!("{account}/entries?cursor=zz&from={early}"), "cursor"),
        (format!("{account}/entries?kind=fee"), "query"),
        ("/api/v1/ledger/holds?status=open".to_owned(), "query"),
        ("/api/v1/ledger/holds?accountId=1".to_owned(), "query"),
        ("/api/v1/ledger/holds?kind=fee".to_owned(), "query"),
        ("/api/v1/ledger/holds?cursor=00".to_owned(), "cursor"),
        ("/api/v1/ledger/transactions?limit=201".to_owned(), "limit"),
        ("/api/v1/ledger/transactions?limit=many".to_owned(), "limit"),
        ("/api/v1/ledger/transactions?cursor=00".to_owned(), "cursor"),
        ("/api/v1/ledger/transactions?accountId=1".to_owned(), "accountId"),
        (format!("/api/v1/ledger/transactions?from={late}&to={early}"), "to"),
        ("/api/v1/ledger/transactions?from=now".to_owned(), "from"),
        ("/api/v1/ledger/transactions?minAmountMinorUnits=0".to_owned(), "minAmountMinorUnits"),
        ("/api/v1/ledger/transactions?maxAmountMinorUnits=1.5".to_owned(), "maxAmountMinorUnits"),
        (
            "/api/v1/ledger/transactions?minAmountMinorUnits=5&maxAmountMinorUnits=4".to_owned(),
            "maxAmountMinorUnits",
        ),
        ("/api/v1/ledger/transactions?metadata.=x".to_owned(), "metadata."),
        ("/api/v1/ledger/transactions?metadata=x".to_owned(), "metadata"),
        ("/api/v1/ledger/transactions?metadata.a=1&metadata.a=2".to_owned(), "metadata.a"),
        ("/api/v1/ledger/transactions?kind=a&kind=b".to_owned(), "kind"),
        ("/api/v1/ledger/transactions?kind=%00".to_owned(), "query"),
        ("/api/v1/ledger/transactions?colour=red".to_owned(), "colour"),
    ] {
        let (status, body) = world.get(&path).await;
        assert_eq!((status, &body["code"]), (422, &"validation_failed".into()), "{path}: {body}");
        assert_eq!(body["errors"][0]["pointer"], pointer, "{path}: {body}");
    }
    let eleven: Vec<String> = (0..11).map(|key| format!("metadata.{key}=x")).collect();
    let (status, body) =
        world.get(&format!("/api/v1/ledger/transactions?{}", eleven.join("&"))).await;
    assert_eq!((status, &body["errors"][0]["pointer"]), (422, &"metadata".into()));
    // Any cursor of the right form is a place, also one that no list gave out.
    let (status, body) = world.get("/api/v1/ledger/transactions?cursor=8000000000000000").await;
    assert_eq!((status, &body["items"]), (200, &serde_json::json!([])));
}

async fn unknown_accounts_have_no_balance(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(1).await;
    let account = format!("/api/v1/ledger/accounts/{}", uuid(9));
    let period = "from=2026-11-23T12:00:00Z&to=2026-11-24T12:00:00Z";
    for path in [
        format!("{account}/balance"),
        format!("{account}/balance?at=2020-01-01T00:00:00Z&basis=recorded"),
        format!("{account}/statement?{period}"),
        format!("{account}/statement?{period}&basis=effective"),
        format!("{account}/entries?{period}"),
    ] {
        let (status, body) = world.get(&path).await;
        assert_eq!((status, &body["code"]), (404, &"not_found".into()), "{path}: {body}");
    }
    let (items, sizes) =
        world.pages(&format!("/api/v1/ledger/transactions?accountId={}", uuid(9))).await;
    assert_eq!((items.len(), sizes), (0, vec![0]));
}
