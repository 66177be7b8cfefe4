//! Refusals and failures as problems.

use crate::{Error, InvalidField, LogInError, RefreshError, RegisterError};
use axum::http::StatusCode;
use store::StoreError;
use web::{FieldError, Problem};

/// Which answer each failure of the server is.
pub(super) fn failed(error: Error) -> Problem {
    match error {
        Error::Store(error @ StoreError::Database(_)) => Problem::store_unavailable(&error),
        Error::Store(error) => Problem::internal(&error),
        Error::KeyFile(error) => Problem::internal(&error),
        Error::Hashing(error) => Problem::internal(&error),
        error @ Error::Signing(_) => Problem::internal(&error),
    }
}

pub(super) fn not_registered(error: RegisterError) -> Problem {
    let text = error.to_string();
    match error {
        RegisterError::Invalid(fields) => {
            Problem::validation(fields.into_iter().map(at_pointer).collect())
        }
        RegisterError::EmailAlreadyRegistered => {
            Problem::conflict("email_already_registered", text)
        }
        RegisterError::PhoneAlreadyRegistered => {
            Problem::conflict("phone_already_registered", text)
        }
        RegisterError::Busy => too_many_sign_ins(text),
        RegisterError::Failed(error) => failed(error),
    }
}

pub(super) fn not_logged_in(error: LogInError) -> Problem {
    let text = error.to_string();
    match error {
        LogInError::InvalidCredentials => {
            Problem::new(StatusCode::UNAUTHORIZED, "invalid_credentials", text)
        }
        LogInError::Busy => too_many_sign_ins(text),
        LogInError::Failed(error) => failed(error),
    }
}

pub(super) fn not_refreshed(error: RefreshError) -> Problem {
    let text = error.to_string();
    match error {
        RefreshError::InvalidRefreshToken => {
            Problem::new(StatusCode::UNAUTHORIZED, "invalid_refresh_token", text)
        }
        RefreshError::Failed(error) => failed(error),
    }
}

fn at_pointer(invalid: InvalidField) -> FieldError {
    FieldError { pointer: format!("/{}", invalid.field), detail: invalid.reason.to_owned() }
}

fn too_many_sign_ins(text: String) -> Problem {
    Problem::unavailable("too_many_sign_ins", text)
}
