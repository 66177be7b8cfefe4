//! What the program prints is searched for every secret and every piece of personal data that the tests know.
//! A server of the tests logs as much as it can, and is searched when it ends.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Everything that any test sent, received or found on a disk and that must not be printed.
static KNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Members of requests and answers that hold such a thing.
const MEMBERS: [&str; 22] = [
    "access_token",
    "accessToken",
    "client_secret",
    "clientSecret",
    "counterpartyName",
    "currentPassword",
    "deviceToken",
    "displayName",
    "email",
    "identifier",
    "mfaToken",
    "newEmail",
    "newPassword",
    "newPhoneNumber",
    "note",
    "password",
    "phone",
    "phoneNumber",
    "recoveryCodes",
    "refreshToken",
    "secret",
    "token",
];
/// One-time codes have six digits; what is shorter stands in any text by chance.
const LENGTH_MIN: usize = 6;

/// Remembers what a request says. Its `code` is a one-time code; that of an answer names a refusal.
pub(crate) fn learn_from_request(body: &Value) {
    learn_from(body, &|member| member == "code" || MEMBERS.contains(&member));
}

/// Remembers what an answer says.
pub(crate) fn learn_from_answer(body: &Value) {
    learn_from(body, &|member| MEMBERS.contains(&member));
}

fn learn_from(body: &Value, is_secret: &dyn Fn(&str) -> bool) {
    match body {
        Value::Array(items) => items.iter().for_each(|item| learn_from(item, is_secret)),
        Value::Object(members) => {
            for (name, value) in members {
                if is_secret(name) { learn_all(value) } else { learn_from(value, is_secret) }
            }
        }
        _ => {}
    }
}

fn learn_all(value: &Value) {
    match value {
        Value::String(text) => learn(text),
        Value::Array(items) => items.iter().for_each(learn_all),
        Value::Object(members) => members.values().for_each(learn_all),
        _ => {}
    }
}

/// Remembers a secret.
pub(crate) fn learn(secret: &str) {
    if secret.len() >= LENGTH_MIN {
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_owned());
    }
}

/// Remembers the keys in a data folder, line by line, and the codes and tokens in messages that were left
/// there.
pub(crate) fn learn_from_folder(data: &Path) {
    for file in files(&data.join("keys")) {
        let armour = |line: &&str| !line.starts_with("-----");
        file.lines().filter(armour).for_each(learn);
    }
    for message in files(&data.join("outbox")) {
        let words = message.split(|character: char| !is_of_word(character));
        let is_code =
            |word: &str| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit());
        words.filter(|word| is_code(word) || word.len() > 30).for_each(learn);
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok()).collect()
}

/// Fails when something of what is known stands in what was printed.
#[track_caller]
pub(crate) fn assert_untold(printed: &str) {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let told = known.iter().find_map(|secret| Some((secret, line_with(printed, secret)?)));
    if let Some((secret, line)) = told {
        panic!("the program printed \"{secret}\":\n{line}");
    }
}

/// The line in which `secret` stands as a word of its own: six digits are also part of many a number.
fn line_with<'a>(printed: &'a str, secret: &str) -> Option<&'a str> {
    let goes_on = |character: Option<char>| character.is_some_and(is_of_word);
    let (at, _) = printed.match_indices(secret).find(|(at, _)| {
        let (before, after) = (&printed[..*at], &printed[at + secret.len()..]);
        // A fraction of a second has six digits.
        let is_fraction = before.ends_with('.');
        !is_fraction && !goes_on(before.chars().next_back()) && !goes_on(after.chars().next())
    })?;
    let begins = printed[..at].rfind('\n').map_or(0, |end| end + 1);
    printed[begins..].lines().next()
}

fn is_of_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_".contains(character)
}

#[test]
fn what_is_printed_is_found() {
    let body = serde_json::json!({
        "items": [{"accessToken": "tokenA-1"}], "recoveryCodes": ["aaaa-bbbb"], "code": "refused"
    });
    learn_from_answer(&body);
    learn_from_request(&serde_json::json!({"code": "918273", "currencyCode": "harmless"}));
    for leak in ["x token=\"tokenA-1\"", "codes: aaaa-bbbb,", "\ncode 918273\n"] {
        assert!(std::panic::catch_unwind(|| assert_untold(leak)).is_err(), "{leak}");
    }
    assert_untold("at 10:00:00.918273Z, 1918273 times: refused, harmless, tokenA-12");
}
