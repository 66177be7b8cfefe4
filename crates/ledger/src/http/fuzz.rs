//! Bodies as nobody should send them, and a second opinion on what they say: read member by member from
//! `serde_json::Value`, apart from the types of the routes.
//!
//! `FINITECH_FUZZ_CASES` says how many inputs each test tries.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use kernel::{Currency, Money, Timestamp, UserId};
use ledger_api::{AccountId, Leg, NewTransaction, Side, TransactionId};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use uuid::Uuid;
use web::{Validate, parse_json};

#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
pub(super) fn config() -> ProptestConfig {
    let cases = std::env::var("FINITECH_FUZZ_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(500),
        max_global_rejects: u32::MAX,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// What a body is taken for is what the second opinion reads, and what is refused it refuses, too.
pub(super) fn check<T: DeserializeOwned + Validate, R: PartialEq + Debug>(
    bytes: &[u8],
    content: impl Fn(T) -> R,
    read: impl Fn(&Value) -> Option<R>,
) -> Result<(), TestCaseError> {
    let value = serde_json::from_slice::<Value>(bytes).ok();
    let expected = value.filter(|value| !has_nul(value)).and_then(|value| read(&value));
    match parse_json::<T>(bytes) {
        Ok(body) => prop_assert_eq!(Some(content(body)), expected),
        Err(problem) => {
            let known = ["malformed_json", "validation_failed"].contains(&problem.code());
            prop_assert!(known, "{}", problem.code());
            let is_twice = serde_json::from_slice::<Once>(bytes).is_err();
            prop_assert!(expected.is_none() || is_twice, "refused: {}", problem.explanation());
        }
    }
    Ok(())
}

/// JSON in which no object has two members with one name. A `Value` keeps the last of them, and forgets what
/// was wrong with the first.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Once;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("no member twice")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
                Ok(Once)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
                Ok(Once)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
                Ok(Once)
            }

            fn visit_str<E>(self, _: &str) -> Result<Once, E> {
                Ok(Once)
            }

            fn visit_unit<E>(self) -> Result<Once, E> {
                Ok(Once)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Once, A::Error> {
                while items.next_element::<Once>()?.is_some() {}
                Ok(Once)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Once, A::Error> {
                let mut names = BTreeSet::new();
                while let Some((name, _)) = members.next_entry::<String, Once>()? {
                    if !names.insert(name) {
                        return Err(serde::de::Error::custom("a member twice"));
                    }
                }
                Ok(Once)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => {
            members.iter().any(|(name, member)| name.contains('\0') || has_nul(member))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// An object with no members but these.
pub(super) fn object(value: &Value, names: &[&str]) -> Option<Map<String, Value>> {
    let members = value.as_object()?;
    members.keys().all(|name| names.contains(&name.as_str())).then(|| members.clone())
}

/// For a word, serde also takes an object with the word for its one member, which is null.
fn word(value: &Value) -> Option<&str> {
    let alone = |members: &'_ Map<String, Value>| members.len() == 1;
    match value.as_object().filter(|members| alone(members)) {
        Some(members) => {
            members.iter().find(|(_, one)| one.is_null()).map(|(name, _)| name.as_str())
        }
        None => value.as_str(),
    }
}

/// A member that may be left out or null; `None` if it is there and wrong.
pub(super) fn maybe<T>(
    members: &Map<String, Value>,
    name: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<Option<T>> {
    match members.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(value) => read(value).map(Some),
    }
}

/// A flag that may be left out, but not null.
pub(super) fn flag(members: &Map<String, Value>, name: &str, otherwise: bool) -> Option<bool> {
    members.get(name).map_or(Some(otherwise), Value::as_bool)
}

pub(super) fn uuid(value: &Value) -> Option<Uuid> {
    value.as_str()?.parse().ok()
}

pub(super) fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

pub(super) fn text(min: usize, max: usize) -> impl Fn(&Value) -> Option<String> {
    move |value| {
        let text = value.as_str()?;
        let chars = text.chars().count();
        let is_plain = !text.chars().any(char::is_control);
        (is_plain && chars >= min && chars <= max).then(|| text.to_owned())
    }
}

pub(super) fn amount(value: &Value) -> Option<i64> {
    value.as_i64().filter(|amount| *amount > 0 && *amount < 1 << 53)
}

pub(super) fn metadata(members: &Map<String, Value>) -> Option<BTreeMap<String, String>> {
    let Some(metadata) = members.get("metadata") else { return Some(BTreeMap::new()) };
    let metadata = metadata.as_object().filter(|metadata| metadata.len() <= 50)?;
    let entry = |(name, value): (&String, &Value)| {
        let value = value.as_str()?;
        let fits = !name.is_empty() && name.chars().count() <= 64 && value.chars().count() <= 500;
        fits.then(|| (name.clone(), value.to_owned()))
    };
    metadata.iter().map(entry).collect()
}

pub(super) fn legs(members: &Map<String, Value>) -> Option<Vec<Leg>> {
    let legs = members.get("legs")?.as_array()?;
    let leg = |leg: &Value| {
        let names = ["accountId", "direction", "amountMinorUnits", "currencyCode"];
        let leg = object(leg, &names)?;
        let currency: Currency = leg.get("currencyCode")?.as_str()?.parse().ok()?;
        Some(Leg {
            account_id: AccountId(uuid(leg.get("accountId")?)?),
            direction: match word(leg.get("direction")?)? {
                "debit" => Side::Debit,
                "credit" => Side::Credit,
                _ => return None,
            },
            amount: Money::new(amount(leg.get("amountMinorUnits")?)?, currency),
        })
    };
    (legs.len() >= 2 && legs.len() <= 1_000).then(|| legs.iter().map(leg).collect())?
}

/// Whose token the requests have: who asks is never in a body.
pub(super) fn initiator() -> UserId {
    UserId(Uuid::from_u128(42))
}

/// A transaction to post, with the id that it has, if any, and whether it is linked.
pub(super) fn transaction(value: &Value) -> Option<(Option<Uuid>, NewTransaction, bool)> {
    let names =
        ["id", "kind", "description", "reference", "effectiveAt", "metadata", "legs", "linked"];
    let members = &object(value, &names)?;
    let id = maybe(members, "id", uuid)?;
    let new = NewTransaction {
        id: TransactionId(id.unwrap_or_default()),
        kind: text(1, 64)(members.get("kind")?)?,
        description: maybe(members, "description", text(0, 500))?,
        reference: maybe(members, "reference", text(0, 200))?,
        effective_at: maybe(members, "effectiveAt", instant)?,
        metadata: metadata(members)?,
        legs: legs(members)?,
        not_after: None,
        initiated_by: Some(initiator()),
    };
    Some((id, new, flag(members, "linked", false)?))
}

/// A transaction as it should be.
pub(super) fn sound(id: u128, linked: bool) -> Value {
    json!({
        "id": Uuid::from_u128(id),
        "kind": "transfer",
        "description": "d é",
        "reference": null,
        "effectiveAt": "2026-11-23T12:00:00.5+01:00",
        "metadata": { "k": "v" },
        "legs": [
            { "accountId": Uuid::nil(), "direction": "debit", "amountMinorUnits": 7,
              "currencyCode": "MAD" },
            { "accountId": Uuid::nil(), "direction": "credit", "amountMinorUnits": 7,
              "currencyCode": "MAD" },
        ],
        "linked": linked,
    })
}

/// Pieces that parsers stumble over.
const PIECES: [&str; 44] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "1.0",
    "1e2",
    "1e999",
    "9007199254740991",
    "9007199254740992",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "\"\"",
    "\"x\"",
    "\"\\u0000\"",
    "\"\\\\u0000\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\\u202e\u{301}\"",
    "\"\u{7f}\"",
    "[]",
    "{}",
    "[[]]",
    "{\"debit\":null}",
    "\"debit\"",
    "\"linked\":true,",
    "\"id\":null,",
    "\"kind\":\"k\",",
    "\"x\":1,",
    "\"metadata\":{\"a\":\"b\",\"a\":\"c\"},",
    ",",
    ":",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    "\u{feff}",
    " \t\r\n",
];

/// Anything, and what is nearly one of these.
pub(super) fn any_body(sound: Vec<Value>) -> impl Strategy<Value = Vec<u8>> {
    let nested = (0..3_usize, 1..400_usize).prop_map(|(kind, depth)| {
        let (open, close) = [("[", "]"), ("{\"legs\":", "}"), ("[{\"metadata\":", "}]")][kind];
        format!("{}1{}", open.repeat(depth), close.repeat(depth)).into_bytes()
    });
    let soup = vec(prop::sample::select(PIECES.to_vec()), 0..30)
        .prop_map(|pieces| pieces.concat().into_bytes());
    let values = vec(any_change(), 0..3);
    let edits = vec(any_edit(), 0..3);
    let nearly =
        (prop::sample::select(sound), values, edits).prop_map(|(mut body, changes, edits)| {
            for change in changes {
                change_at(&mut body, &change);
            }
            let mut bytes = body.to_string().into_bytes();
            edits.into_iter().for_each(|edit| edit_at(&mut bytes, edit));
            bytes
        });
    prop_oneof![1 => vec(any::<u8>(), 0..64), 1 => soup, 1 => nested, 17 => nearly]
}

/// Another value somewhere.
#[derive(Clone, Debug)]
enum Change {
    Other(prop::sample::Index, Value),
    WrapInList(prop::sample::Index),
    WrapInObject(prop::sample::Index),
    /// An object becomes the list of its values.
    Unname(prop::sample::Index),
    Drop(prop::sample::Index),
    Add(prop::sample::Index, String),
}

fn any_change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let word = prop_oneof![
        Just(String::new()),
        "[a-zA-Z0-9 -]{1,8}",
        "\\PC{1,70}",
        Just("é".repeat(501)),
        Just("\u{85}".to_owned()),
        Just("0001-01-01T00:00:00-23:59".to_owned()),
        Just("{00000000-0000-0000-0000-000000000000}".to_owned()),
    ];
    let other = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-2..3_i64).prop_map(Value::from),
        Just(json!((1_i64 << 53) - 1)),
        Just(json!(1_i64 << 53)),
        Just("7.0").prop_map(|text| serde_json::from_str::<Value>(text).unwrap_or_default()),
        word.clone().prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
    ];
    prop_oneof![
        8 => (at(), other).prop_map(|(at, value)| Change::Other(at, value)),
        1 => at().prop_map(Change::WrapInList),
        1 => at().prop_map(Change::WrapInObject),
        1 => at().prop_map(Change::Unname),
        2 => at().prop_map(Change::Drop),
        2 => (at(), word).prop_map(|(at, name)| Change::Add(at, name)),
    ]
}

fn change_at(body: &mut Value, change: &Change) {
    let (Change::Other(at, _)
    | Change::WrapInList(at)
    | Change::WrapInObject(at)
    | Change::Unname(at)
    | Change::Drop(at)
    | Change::Add(at, _)) = change;
    let place = at.index(count(body));
    if let Some(value) = nth(body, &mut place.clone()) {
        let old = value.take();
        *value = match (change, old) {
            (Change::Other(_, other), _) => other.clone(),
            (Change::WrapInList(_), old) => json!([old]),
            (Change::WrapInObject(_), Value::String(name)) => json!({ name: null }),
            (Change::WrapInObject(_), old) => json!({ "x": old }),
            (Change::Unname(_), Value::Object(members)) => {
                members.into_iter().map(|(_, one)| one).collect()
            }
            (Change::Drop(at), Value::Object(mut members)) if !members.is_empty() => {
                let name = members.keys().nth(at.index(members.len())).cloned();
                members.remove(&name.unwrap_or_default());
                Value::Object(members)
            }
            (Change::Drop(_), Value::Array(mut items)) => {
                items.pop();
                Value::Array(items)
            }
            (Change::Add(_, name), Value::Object(mut members)) => {
                members.insert(name.clone(), json!("x"));
                Value::Object(members)
            }
            (_, old) => old,
        };
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count).sum::<usize>() + 1,
        Value::Object(members) => members.values().map(count).sum::<usize>() + 1,
        _ => 1,
    }
}

/// The value with this number, the whole being number zero.
fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|one| nth(one, left)),
        Value::Object(members) => members.values_mut().find_map(|one| nth(one, left)),
        _ => None,
    }
}

/// Other bytes somewhere.
#[derive(Clone, Debug)]
enum Edit {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, &'static str),
    Cut(prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        5 => (at(), prop::sample::select(PIECES.to_vec()))
            .prop_map(|(at, piece)| Edit::Insert(at, piece)),
        1 => at().prop_map(Edit::Cut),
        1 => (at(), at()).prop_map(|(from, to)| Edit::Repeat(from, to)),
    ]
}

fn edit_at(bytes: &mut Vec<u8>, edit: Edit) {
    let place = |at: prop::sample::Index, bytes: &[u8]| at.index(bytes.len() + 1);
    match edit {
        Edit::Set(at, byte) => {
            if let Some(old) = bytes.get_mut(at.index(usize::MAX) % 400) {
                *old = byte;
            }
        }
        // Mostly where a member may begin, so that it is JSON still.
        Edit::Insert(at, piece) => {
            let starts: Vec<usize> = (0..bytes.len())
                .filter(|at| b"{[:,".contains(&bytes[*at]))
                .map(|at| at + 1)
                .collect();
            let at = match starts.is_empty() {
                true => place(at, bytes),
                false => starts[at.index(starts.len())],
            };
            bytes.splice(at..at, piece.bytes());
        }
        Edit::Cut(at) => bytes.truncate(place(at, bytes)),
        Edit::Repeat(from, to) => {
            let (from, to) = (place(from, bytes), place(to, bytes));
            let piece = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(from..from, piece);
        }
    }
}
