//! The JSON of the standard, as browsers make and read it (W3C Web Authentication Level 3, sections
//! 5.1.8 to 5.1.10). What a browser adds is let through: the standard grows.

use crate::passkeys::{ALGORITHMS, Assertion, CHALLENGE_LIFETIME, Question, Registration};
use crate::users::entity::Model as UserRow;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// What users are told that they make a passkey for.
const SITE_NAME: &str = "Finitech";
const PUBLIC_KEY: &str = "public-key";
const REQUIRED: &str = "required";

/// Bytes in base64url without padding.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text);
        bytes.map(Self).map_err(|_| D::Error::custom("must be base64url without padding"))
    }
}

/// What `navigator.credentials.create()` resolves to (`RegistrationResponseJSON`).
#[derive(Deserialize, ToSchema)]
pub(super) struct RegistrationBody {
    /// What the authenticator says.
    response: AttestationBody,
}

/// What an authenticator says of a new passkey (`AuthenticatorAttestationResponseJSON`).
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AttestationBody {
    /// What the browser says of the question, in base64url.
    #[serde(rename = "clientDataJSON")]
    #[schema(value_type = String)]
    client_data_json: Bytes,
    /// The new passkey, in base64url.
    #[schema(value_type = String)]
    attestation_object: Bytes,
}

impl From<RegistrationBody> for Registration {
    fn from(body: RegistrationBody) -> Self {
        let AttestationBody { client_data_json, attestation_object } = body.response;
        Self { client_data: client_data_json.0, attestation_object: attestation_object.0 }
    }
}

/// What `navigator.credentials.get()` resolves to (`AuthenticationResponseJSON`).
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct AssertionBody {
    /// The passkey's id, in base64url.
    #[schema(value_type = String)]
    raw_id: Bytes,
    /// What the authenticator says.
    response: SignatureBody,
}

/// What an authenticator says with one of its passkeys (`AuthenticatorAssertionResponseJSON`).
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SignatureBody {
    /// What the browser says of the question, in base64url.
    #[serde(rename = "clientDataJSON")]
    #[schema(value_type = String)]
    client_data_json: Bytes,
    /// What is signed of the authenticator, in base64url.
    #[schema(value_type = String)]
    authenticator_data: Bytes,
    /// In base64url.
    #[schema(value_type = String)]
    signature: Bytes,
    /// Whose passkey it is, in base64url.
    #[schema(value_type = Option<String>)]
    user_handle: Option<Bytes>,
}

impl From<AssertionBody> for Assertion {
    fn from(body: AssertionBody) -> Self {
        let AssertionBody { raw_id, response } = body;
        Self {
            credential_id: raw_id.0,
            client_data: response.client_data_json.0,
            authenticator_data: response.authenticator_data.0,
            signature: response.signature.0,
            user_handle: response.user_handle.map(|handle| handle.0),
        }
    }
}

/// For `PublicKeyCredential.parseCreationOptionsFromJSON()` and `navigator.credentials.create()`
/// (`PublicKeyCredentialCreationOptionsJSON`).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreationOptionsBody {
    /// The site.
    rp: SiteBody,
    /// Whose passkey it will be.
    user: UserEntityBody,
    /// In base64url; counts for 5 minutes and one answer.
    challenge: String,
    /// Signature algorithms, the best first.
    pub_key_cred_params: Vec<AlgorithmBody>,
    /// How long the user may take, in milliseconds.
    #[schema(example = 300_000)]
    timeout: u128,
    /// Those that are there already.
    exclude_credentials: Vec<CredentialBody>,
    /// What the authenticator must be able to do.
    authenticator_selection: AuthenticatorBody,
    /// Always `none`: of which make the authenticator is does not matter.
    #[schema(example = "none")]
    attestation: &'static str,
}

/// The site that a passkey is for.
#[derive(Serialize, ToSchema)]
struct SiteBody {
    /// Its domain.
    #[schema(example = "bank.example")]
    id: String,
    /// For people.
    #[schema(example = "Finitech")]
    name: &'static str,
}

/// Whose passkey it will be, as the authenticator keeps it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UserEntityBody {
    /// The user's id, in base64url.
    id: String,
    /// The e-mail address.
    #[schema(example = "amina@example.com")]
    name: String,
    /// What other users see.
    #[schema(example = "Amina El Idrissi")]
    display_name: String,
}

/// A signature algorithm.
#[derive(Serialize, ToSchema)]
struct AlgorithmBody {
    /// Always `public-key`.
    #[serde(rename = "type")]
    #[schema(example = "public-key")]
    kind: &'static str,
    /// Its number at IANA.
    #[schema(example = -7)]
    alg: i64,
}

/// A passkey by its id.
#[derive(Serialize, ToSchema)]
struct CredentialBody {
    /// Always `public-key`.
    #[serde(rename = "type")]
    #[schema(example = "public-key")]
    kind: &'static str,
    /// In base64url.
    id: String,
}

/// What an authenticator must be able to do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuthenticatorBody {
    /// Always `required`: a sign-in names no passkey.
    #[schema(example = "required")]
    resident_key: &'static str,
    /// The same for older browsers.
    #[schema(example = true)]
    require_resident_key: bool,
    /// Always `required`.
    #[schema(example = "required")]
    user_verification: &'static str,
}

/// For `PublicKeyCredential.parseRequestOptionsFromJSON()` and `navigator.credentials.get()`
/// (`PublicKeyCredentialRequestOptionsJSON`).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestOptionsBody {
    /// In base64url; counts for 5 minutes and one answer.
    challenge: String,
    /// How long the user may take, in milliseconds.
    #[schema(example = 300_000)]
    timeout: u128,
    /// The site's domain.
    #[schema(example = "bank.example")]
    rp_id: String,
    /// The passkeys that may answer; any of the site where there are none.
    allow_credentials: Vec<CredentialBody>,
    /// Always `required`.
    #[schema(example = "required")]
    user_verification: &'static str,
}

impl CreationOptionsBody {
    pub(super) fn new(question: Question, user: UserRow) -> Self {
        let algorithms = ALGORITHMS.iter();
        Self {
            rp: SiteBody { id: question.relying_party.id, name: SITE_NAME },
            user: UserEntityBody {
                id: URL_SAFE_NO_PAD.encode(user.id),
                name: user.email,
                display_name: user.display_name,
            },
            challenge: question.challenge.expose_secret().to_owned(),
            pub_key_cred_params: algorithms
                .map(|alg| AlgorithmBody { kind: PUBLIC_KEY, alg: *alg })
                .collect(),
            timeout: CHALLENGE_LIFETIME.as_millis(),
            exclude_credentials: credentials(question.credential_ids),
            authenticator_selection: AuthenticatorBody {
                resident_key: REQUIRED,
                require_resident_key: true,
                user_verification: REQUIRED,
            },
            attestation: "none",
        }
    }
}

impl From<Question> for RequestOptionsBody {
    fn from(question: Question) -> Self {
        Self {
            challenge: question.challenge.expose_secret().to_owned(),
            timeout: CHALLENGE_LIFETIME.as_millis(),
            rp_id: question.relying_party.id,
            allow_credentials: credentials(question.credential_ids),
            user_verification: REQUIRED,
        }
    }
}

fn credentials(ids: Vec<Vec<u8>>) -> Vec<CredentialBody> {
    let of = |id| CredentialBody { kind: PUBLIC_KEY, id: URL_SAFE_NO_PAD.encode(id) };
    ids.into_iter().map(of).collect()
}
