//! Refusals and failures as problems.

use crate::{
    AccountError, ApiClientError, Contact, ContactChangeError, Error, InvalidField, LogInError,
    MfaError, RefreshError, RegisterError, ResetError, StaffError, VerificationError,
};
use axum::http::StatusCode;
use store::StoreError;
use web::{FieldError, Problem};

/// Which answer each failure of the server is.
pub(super) fn failed(error: Error) -> Problem {
    match error {
        Error::Store(error @ StoreError::Database(_)) => Problem::store_unavailable(&error),
        Error::Store(error) => Problem::internal(&error),
        Error::KeyFile(error) => Problem::internal(&error),
        Error::DataKeys(error) => Problem::internal(&error),
        Error::Hashing(error) => Problem::internal(&error),
        Error::Seal(error) => Problem::internal(&error),
        error @ Error::Token(_) => Problem::internal(&error),
        Error::SigningKeys(error) => {
            tracing::warn!(%error, "no token was signed");
            Problem::unavailable(
                "signing_unavailable",
                "nobody can sign in or refresh tokens now; access tokens go on until they expire",
            )
        }
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
        RegisterError::PasswordUnchecked => password_not_checked(text),
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
        LogInError::InvalidMfaToken => {
            Problem::new(StatusCode::UNAUTHORIZED, "invalid_mfa_token", text)
        }
        LogInError::InvalidMfaCode => {
            Problem::new(StatusCode::UNAUTHORIZED, "invalid_mfa_code", text)
        }
        LogInError::InvalidPasskey => {
            Problem::new(StatusCode::UNAUTHORIZED, "invalid_passkey", text)
        }
        LogInError::PasskeysOff => Problem::conflict("passkeys_off", text),
        LogInError::NoPasskey => Problem::unprocessable("no_passkey", text),
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

pub(super) fn account_not_changed(error: AccountError) -> Problem {
    let text = error.to_string();
    match error {
        AccountError::WrongPassword => Problem::unprocessable("wrong_password", text),
        AccountError::Invalid(field) => Problem::validation(vec![at_pointer(field)]),
        AccountError::HoldsMoney => Problem::conflict("account_holds_money", text),
        AccountError::HoldingsUnknown(error) => Problem::store_unavailable(&error),
        AccountError::PasswordUnchecked => password_not_checked(text),
        AccountError::Busy => too_many_sign_ins(text),
        AccountError::Failed(error) => failed(error),
    }
}

pub(super) fn not_reset(error: ResetError) -> Problem {
    let text = error.to_string();
    match error {
        ResetError::InvalidToken => Problem::unprocessable("invalid_reset_token", text),
        ResetError::Invalid(field) => Problem::validation(vec![at_pointer(field)]),
        ResetError::PasswordUnchecked => password_not_checked(text),
        ResetError::Busy => too_many_sign_ins(text),
        ResetError::Failed(error) => failed(error),
    }
}

pub(super) fn refused_to_staff(error: StaffError) -> Problem {
    let text = error.to_string();
    match error {
        StaffError::NotFound => Problem::not_found("user"),
        StaffError::NoSuchRole => Problem::not_found("role"),
        StaffError::NoSuchAction => Problem::not_found("action"),
        StaffError::Closed => Problem::conflict("user_closed", text),
        StaffError::OwnAccount => Problem::conflict("own_account", text),
        StaffError::BuiltInRole => Problem::conflict("role_built_in", text),
        StaffError::RoleExists => Problem::conflict("role_exists", text),
        StaffError::RoleInUse => Problem::conflict("role_in_use", text),
        StaffError::UnknownPermission(_) => {
            let pointer = "/permissions".to_owned();
            Problem::validation(vec![FieldError { pointer, detail: text }])
        }
        StaffError::NotHeld(_) => permission_not_held(text),
        StaffError::NoSecondFactor => Problem::unprocessable("mfa_not_there", text),
        StaffError::OwnRequest => Problem::conflict("own_request", text),
        StaffError::NotPending(_) => Problem::conflict("action_not_pending", text),
        StaffError::Outdated => Problem::conflict("action_outdated", text),
        StaffError::RequesterNotEntitled => Problem::conflict("requester_not_entitled", text),
        StaffError::Forbidden(_) => Problem::new(StatusCode::FORBIDDEN, "forbidden", text),
        StaffError::Failed(error) => failed(error),
    }
}

pub(super) fn client_not_changed(error: ApiClientError) -> Problem {
    let text = error.to_string();
    let at = |pointer: &str| {
        let pointer = pointer.to_owned();
        Problem::validation(vec![FieldError { pointer, detail: text.clone() }])
    };
    match error {
        ApiClientError::NotFound => Problem::not_found("API client"),
        ApiClientError::Revoked => Problem::conflict("api_client_revoked", text),
        ApiClientError::Scope(_) => at("/scopes"),
        ApiClientError::Network(_) => at("/allowedNetworks"),
        ApiClientError::Expired => at("/expiresAt"),
        ApiClientError::NotHeld(_) => permission_not_held(text),
        ApiClientError::Failed(error) => failed(error),
    }
}

fn permission_not_held(text: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "permission_not_held", text)
}

pub(super) fn not_verified(error: VerificationError) -> Problem {
    let text = error.to_string();
    match error {
        VerificationError::Taken(contact) => taken(contact, text),
        VerificationError::AlreadyVerified => Problem::conflict("already_verified", text),
        VerificationError::TooManyCodes { retry_after } => {
            let begun_second = u64::from(retry_after.subsec_nanos() > 0);
            let whole_seconds = retry_after.as_secs().saturating_add(begun_second);
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_codes", text)
                .retry_after(whole_seconds)
        }
        VerificationError::WrongCode { attempts_left } => {
            Problem::unprocessable("wrong_code", text).with("attemptsLeft", attempts_left)
        }
        VerificationError::NoCode => Problem::unprocessable("no_code", text),
        VerificationError::Unreachable(error) => {
            tracing::info!(%error, "a contact cannot be reached");
            Problem::unprocessable("contact_unreachable", text)
        }
        VerificationError::NotSent(error) => {
            tracing::warn!(%error, "a code was not sent");
            Problem::unavailable("message_not_sent", text)
        }
        VerificationError::Busy => too_many_sign_ins(text),
        VerificationError::Failed(error) => failed(error),
    }
}

pub(super) fn contact_not_changed(error: ContactChangeError) -> Problem {
    let text = error.to_string();
    match error {
        ContactChangeError::Invalid(field) => Problem::validation(vec![at_pointer(field)]),
        ContactChangeError::WrongPassword => Problem::unprocessable("wrong_password", text),
        ContactChangeError::Taken(contact) => taken(contact, text),
        ContactChangeError::Code(error) => not_verified(error),
    }
}

fn taken(contact: Contact, text: String) -> Problem {
    let code = match contact {
        Contact::Email => "email_already_registered",
        Contact::Phone => "phone_already_registered",
    };
    Problem::conflict(code, text)
}

pub(super) fn mfa_not_changed(error: MfaError) -> Problem {
    let text = error.to_string();
    match error {
        MfaError::WrongPassword => Problem::unprocessable("wrong_password", text),
        MfaError::WrongCode => Problem::unprocessable("wrong_mfa_code", text),
        MfaError::AlreadyOn => Problem::conflict("mfa_already_on", text),
        MfaError::Needed => Problem::conflict("second_factor_needed", text),
        MfaError::PasskeysOff => Problem::conflict("passkeys_off", text),
        MfaError::PasskeyRefused(_) => Problem::unprocessable("passkey_refused", text),
        MfaError::NoChallenge => Problem::unprocessable("no_passkey_challenge", text),
        MfaError::PasskeyTaken => Problem::conflict("passkey_taken", text),
        MfaError::TooManyPasskeys(_) => Problem::conflict("too_many_passkeys", text),
        MfaError::NoSuchPasskey => Problem::not_found("passkey"),
        MfaError::SessionOver => Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", text),
        MfaError::NotThere => Problem::unprocessable("mfa_not_there", text),
        MfaError::Busy => too_many_sign_ins(text),
        MfaError::Failed(error) => failed(error),
    }
}

fn at_pointer(invalid: InvalidField) -> FieldError {
    FieldError { pointer: format!("/{}", invalid.field), detail: invalid.reason.to_owned() }
}

fn password_not_checked(text: String) -> Problem {
    Problem::unavailable("password_not_checked", text)
}

fn too_many_sign_ins(text: String) -> Problem {
    Problem::unavailable("too_many_sign_ins", text)
}
