//! The leaf of each form, as `examples/proofs/verify.py` and docs/LEDGER-PROOFS.md make it. These never change.

use super::*;
use crate::history::tree::Hash;
use kernel::{Currency, Money};
use ledger_api::{AccountId, HoldId, HoldStatus, TransactionId};

const SOMEBODY: Option<UserId> = Some(UserId(Uuid::from_u128(42)));

fn recorded_at() -> Timestamp {
    "2026-11-23T12:00:00.000001Z".parse().unwrap()
}

fn legs() -> Vec<Leg> {
    let leg = |number, direction| Leg {
        account_id: AccountId(Uuid::from_u128(number)),
        direction,
        amount: Money::new(7, Currency::MAD),
    };
    vec![leg(1, Side::Debit), leg(2, Side::Credit)]
}

fn of_hold(initiated_by: Option<UserId>) -> Hash {
    hold(&Hold {
        id: HoldId(Uuid::from_u128(11)),
        sequence: 18,
        kind: "card".into(),
        description: None,
        reference: Some("R-1".into()),
        metadata: BTreeMap::new(),
        legs: legs(),
        expires_at: Some("2026-11-23T13:00:00Z".parse().unwrap()),
        tolerance: 5,
        created_at: recorded_at(),
        // What has come of it is told by other records.
        status: HoldStatus::Voided,
        captured: 3,
        ended_by: Some(19),
        initiated_by,
        released_by: Some(UserId(Uuid::from_u128(43))),
    })
}

fn of_end(initiated_by: Option<UserId>) -> Hash {
    hold_end((19, recorded_at()), 18, "voided", Some("cancelled"), initiated_by)
}

fn of_transaction(initiated_by: Option<UserId>) -> Hash {
    transaction(&Transaction {
        id: TransactionId(Uuid::from_u128(10)),
        sequence: 17,
        kind: "transfer".into(),
        description: Some("Café".into()),
        reference: None,
        effective_at: "2026-11-20T00:00:00Z".parse().unwrap(),
        recorded_at: recorded_at(),
        metadata: BTreeMap::from([("b".into(), "2".into()), ("a".into(), "1".into())]),
        legs: legs(),
        reverses: Some(TransactionId(Uuid::from_u128(3))),
        captures: None,
        initiated_by,
    })
}

#[test]
fn leaves_are_those_of_the_documented_forms() {
    for (form, leaf, expected) in [
        (4, of_hold(None), "4b90e7849090263c6177d44959b9f5efb187382637d30e3e3dbbb06ed8b5f0ba"),
        (5, of_end(None), "8bfad0bcb0ae8fe02446875f0ee41b13cb43f0ca36171505300c8c04855ea2d0"),
        (
            6,
            of_transaction(None),
            "826dfc8d519acb46251c2f93b036e44ef23793e7ec9aa25b6245b82c597cff68",
        ),
        (7, of_hold(SOMEBODY), "ff6f490680255e486253497be8aaafade634e5b7e6062c236bee796e5e7e573e"),
        (8, of_end(SOMEBODY), "478d4f9d342793b608a4a5feaf609f55df78cbfab211cddb1fddf8ae991b550b"),
        (
            9,
            of_transaction(SOMEBODY),
            "2204a8c284052dae103d6770eb1760556089b17ee2c6eed2082c5b4a65b853ec",
        ),
    ] {
        let hex: String = leaf.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected, "form {form}");
    }
}
