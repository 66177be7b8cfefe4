//! A code or a passkey, where a request takes either.

use super::super::passkeys::AssertionBody;
use crate::mfa::Answer;
use secrecy::SecretString;
use web::{FieldError, FieldErrors, Problem};

/// Whether a request has to show a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Needed {
    Yes,
    No,
}

const NEEDED: &str = "a code is needed, or a passkey";

/// Adds an error unless there is one of both.
pub(in crate::http) fn check_answer(
    code: &Option<SecretString>,
    passkey: &Option<AssertionBody>,
    needed: Needed,
    errors: &mut FieldErrors,
) {
    match (code, passkey) {
        (Some(_), Some(_)) => errors.add("/passkey", "bring a code or a passkey, not both"),
        (None, None) if needed == Needed::Yes => errors.add("/code", NEEDED),
        _ => {}
    }
}

/// What was brought.
pub(in crate::http) fn answer_of(
    code: Option<SecretString>,
    passkey: Option<AssertionBody>,
) -> Option<Answer> {
    passkey.map(|body| Answer::Passkey(body.into())).or_else(|| code.map(Answer::Code))
}

/// That nothing was brought, which the check of the body has told already.
pub(super) fn no_answer() -> Problem {
    let (pointer, detail) = ("/code".to_owned(), NEEDED.to_owned());
    Problem::validation(vec![FieldError { pointer, detail }])
}
