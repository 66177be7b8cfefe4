//! Bodies of requests and answers. Those with passwords or tokens in them cannot be printed.

use crate::keys::entity::Model as PublicKey;
use crate::{LogIn, NewUser, TokenPair, User};
use kernel::{Actor, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;
use uuid::Uuid;
use web::Validate;

/// Who signs up.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RegisterBody {
    /// E-mail address; case does not matter.
    #[schema(format = Email, max_length = 254, example = "amina@example.com")]
    email: String,
    /// Phone number with its country code, in any common spelling.
    #[schema(max_length = 40, example = "+212612345678")]
    phone_number: String,
    /// 10 to 128 characters; not a common password, nor one of the other fields.
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 128)]
    password: SecretString,
    /// What other users see.
    #[schema(min_length = 1, max_length = 100, example = "Amina El Idrissi")]
    display_name: String,
}

/// The fields are checked together, where users are made.
impl Validate for RegisterBody {}

impl From<RegisterBody> for NewUser {
    fn from(body: RegisterBody) -> Self {
        Self {
            email: body.email,
            phone_number: body.phone_number,
            password: body.password,
            display_name: body.display_name,
        }
    }
}

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LogInBody {
    /// E-mail address or phone number.
    #[schema(example = "amina@example.com")]
    pub(super) identifier: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    pub(super) password: SecretString,
    /// The `deviceToken` of a trusted device, which is not asked for the second factor.
    #[schema(value_type = Option<String>, format = Password)]
    pub(super) device_token: Option<SecretString>,
}

impl Validate for LogInBody {}

/// A refresh token to exchange.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefreshBody {
    /// The `refreshToken` of the last sign-in or refresh.
    #[schema(value_type = String, format = Password)]
    pub(super) refresh_token: SecretString,
}

impl Validate for RefreshBody {}

/// The tokens of a session (RFC 6749 section 5.1, in camelCase).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenPairBody {
    /// For each call: `Authorization: Bearer …`.
    access_token: String,
    /// Exchange it once for the next pair.
    refresh_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long the access token counts, in seconds.
    #[schema(example = 900)]
    expires_in: u64,
    /// Whether the permissions of staff are missing because there was no second factor. Add an
    /// authenticator app (`POST /api/v1/me/mfa/totp`) or a passkey
    /// (`POST /api/v1/me/passkeys/registration`) unless there is one, and show it: sign in again, or
    /// `POST /api/v1/auth/reauthenticate`.
    second_factor_needed: bool,
}

impl From<TokenPair> for TokenPairBody {
    fn from(pair: TokenPair) -> Self {
        Self {
            access_token: pair.access_token.expose_secret().to_owned(),
            refresh_token: pair.refresh_token.expose_secret().to_owned(),
            token_type: "Bearer",
            expires_in: pair.expires_in.as_secs(),
            second_factor_needed: pair.second_factor_needed,
        }
    }
}

/// What a password leads to.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum LogInAnswerBody {
    /// The user is signed in.
    Done(TokenPairBody),
    /// A second factor is needed.
    MfaRequired(MfaRequiredBody),
}

/// The password is right, and a second factor is needed: a code of the app, a recovery code, or a passkey.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MfaRequiredBody {
    /// Always true.
    #[schema(example = true)]
    mfa_required: bool,
    /// For `POST /api/v1/auth/login/mfa`, with the code or passkey.
    mfa_token: String,
    /// Whether there is a passkey that will do: `POST /api/v1/auth/login/mfa/challenge` asks for it.
    has_passkey: bool,
    /// How long it counts, in seconds.
    #[schema(example = 300)]
    expires_in: u64,
}

impl From<LogIn> for LogInAnswerBody {
    fn from(log_in: LogIn) -> Self {
        match log_in {
            LogIn::Done(pair) => Self::Done(pair.into()),
            LogIn::MfaRequired { mfa_token, has_passkey, expires_in } => {
                Self::MfaRequired(MfaRequiredBody {
                    mfa_required: true,
                    mfa_token: mfa_token.expose_secret().to_owned(),
                    has_passkey,
                    expires_in: expires_in.as_secs(),
                })
            }
        }
    }
}

/// A user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserBody {
    /// The user's id.
    id: Uuid,
    /// In lower case.
    #[schema(example = "amina@example.com")]
    email: String,
    /// In E.164.
    #[schema(example = "+212612345678")]
    phone_number: String,
    /// What other users see.
    #[schema(example = "Amina El Idrissi")]
    display_name: String,
    /// Whether the user has shown that the e-mail address is theirs.
    email_verified: bool,
    /// Whether the user has shown that the phone number is theirs.
    phone_verified: bool,
    /// When the user registered.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            id: user.id.0,
            email: user.email,
            phone_number: user.phone_number,
            display_name: user.display_name,
            email_verified: user.email_verified,
            phone_verified: user.phone_verified,
            created_at: user.created_at,
        }
    }
}

/// The signed-in user and what the access token permits.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MeBody {
    /// The user.
    #[serde(flatten)]
    user: UserBody,
    /// Names of the roles held.
    #[schema(example = json!(["Customer"]))]
    roles: BTreeSet<String>,
    /// What those roles permit.
    #[schema(example = json!(["wallet:read", "wallet:write"]))]
    permissions: BTreeSet<String>,
}

impl MeBody {
    pub(super) fn new(user: User, actor: Actor) -> Self {
        Self { user: user.into(), roles: actor.roles, permissions: actor.permissions }
    }
}

/// The public keys of access tokens (RFC 7517 section 5).
#[derive(Serialize, ToSchema)]
pub(super) struct JwksBody {
    /// One for each process that signs.
    keys: Vec<JwkBody>,
}

/// A public RSA key (RFC 7517 section 4 and RFC 7518 section 6.3.1).
#[derive(Serialize, ToSchema)]
struct JwkBody {
    /// Always `RSA`.
    kty: &'static str,
    /// Always `sig`.
    #[serde(rename = "use")]
    usage: &'static str,
    /// Always `RS256`.
    alg: &'static str,
    /// The key's name in tokens: its RFC 7638 thumbprint.
    kid: String,
    /// The modulus in base64url.
    n: String,
    /// The exponent in base64url.
    e: String,
}

impl From<Vec<PublicKey>> for JwksBody {
    fn from(keys: Vec<PublicKey>) -> Self {
        let keys = keys.into_iter().map(|key| JwkBody {
            kty: "RSA",
            usage: "sig",
            alg: "RS256",
            kid: key.kid,
            n: key.n,
            e: key.e,
        });
        Self { keys: keys.collect() }
    }
}
