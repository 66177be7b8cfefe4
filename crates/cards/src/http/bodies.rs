//! The JSON shapes of the vault's routes. Those with a card number in them do not print.

use crate::{CardNumber, CardToken, StoredToken, contains_card_number};
use kernel::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{FieldErrors, Problem, Validate};

/// A card number to put into the vault. Nothing else of a card belongs here, above all no verification
/// code.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TokenizeBody {
    /// The card number (PAN): 12 to 19 digits without spaces, the last of which fits the others (Luhn).
    #[schema(value_type = String, pattern = "^[0-9]{12,19}$", example = "4111111111111111")]
    card_number: SecretString,
    /// What nobody may keep (PCI DSS 3.3.1), under any name that it goes by: named here to be refused.
    #[schema(ignore)]
    #[serde(
        default,
        alias = "cvv2",
        alias = "cvc",
        alias = "cvc2",
        alias = "cid",
        alias = "csc",
        alias = "cvn",
        alias = "securityCode",
        alias = "verificationCode",
        alias = "cardVerificationCode"
    )]
    cvv: Option<IgnoredAny>,
}

impl Validate for TokenizeBody {
    fn validate(&self, errors: &mut FieldErrors) {
        if let Err(error) = CardNumber::try_new(self.card_number.clone()) {
            errors.add("/cardNumber", error.to_string());
        }
        errors.require(
            self.cvv.is_none(),
            "",
            "must not have the card's verification code (CVV): it is never taken nor stored; leave it out",
        );
    }
}

impl TokenizeBody {
    /// The number, which validation has seen.
    pub(super) fn into_number(self) -> Result<CardNumber, Problem> {
        CardNumber::try_new(self.card_number).map_err(|error| at("/cardNumber", error))
    }
}

/// A token to look up.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FindTokenBody {
    #[schema(value_type = String, pattern = "^[0-9]{12,19}$", example = "4111117302941111")]
    token: SecretString,
}

impl Validate for FindTokenBody {
    fn validate(&self, errors: &mut FieldErrors) {
        validate_token(&self.token, errors);
    }
}

impl FindTokenBody {
    /// The token, which validation has seen.
    pub(super) fn token(&self) -> Result<CardToken, Problem> {
        CardToken::try_new(self.token.expose_secret()).map_err(|error| at("/token", error))
    }
}

/// A token, and why its number is wanted or deleted.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TokenReasonBody {
    #[schema(value_type = String, pattern = "^[0-9]{12,19}$", example = "4111117302941111")]
    token: SecretString,
    /// For the audit trail, which keeps it for good: no card numbers.
    #[schema(
        min_length = 1,
        max_length = 500,
        example = "Dispute 2026-114: the acquirer asks for it"
    )]
    pub(super) reason: String,
}

impl Validate for TokenReasonBody {
    fn validate(&self, errors: &mut FieldErrors) {
        validate_token(&self.token, errors);
        errors.require_text(self.reason.trim(), 1, 500, "/reason");
        errors.require(
            !contains_card_number(&self.reason),
            "/reason",
            "has something in it that looks like a card number; leave it out",
        );
    }
}

impl TokenReasonBody {
    /// The token, which validation has seen.
    pub(super) fn token(&self) -> Result<CardToken, Problem> {
        CardToken::try_new(self.token.expose_secret()).map_err(|error| at("/token", error))
    }
}

fn validate_token(token: &SecretString, errors: &mut FieldErrors) {
    if let Err(error) = CardToken::try_new(token.expose_secret()) {
        errors.add("/token", error.to_string());
    }
}

fn at(pointer: &str, error: impl std::error::Error) -> Problem {
    let mut errors = FieldErrors::default();
    errors.add(pointer, error.to_string());
    errors.into_problem()
}

/// A token in the vault.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CardTokenBody {
    /// Its id in events and in the audit trail.
    id: Uuid,
    /// What stands for the card number: as many digits, with the same last four. Fails the Luhn check.
    #[schema(example = "4111117302941111")]
    token: String,
    /// The last four digits of the card number.
    #[schema(example = "1111")]
    last_four: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When the card number was deleted; the token stands for nothing since then.
    #[schema(value_type = Option<String>, format = DateTime)]
    deleted_at: Option<Timestamp>,
}

impl From<StoredToken> for CardTokenBody {
    fn from(stored: StoredToken) -> Self {
        Self {
            id: stored.id,
            last_four: stored.token.last_four().to_owned(),
            token: stored.token.as_str().to_owned(),
            created_at: stored.created_at,
            deleted_at: stored.deleted_at,
        }
    }
}

/// A card number.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CardNumberBody {
    /// Not to be stored or logged.
    #[schema(example = "4111111111111111")]
    card_number: String,
}

impl From<&CardNumber> for CardNumberBody {
    fn from(number: &CardNumber) -> Self {
        Self { card_number: number.expose_digits().to_owned() }
    }
}
