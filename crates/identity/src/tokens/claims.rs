use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The claims of an access token (RFC 7519 section 4.1 and the guide's: roles, permissions).
#[derive(Deserialize, Serialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) aud: String,
    /// The user, or the API client.
    pub(super) sub: Uuid,
    pub(super) jti: Uuid,
    /// The session, which can be revoked before the token's time is over.
    pub(super) sid: Uuid,
    /// How often what the subject may do had been taken back when the token was made. Tokens made
    /// before this was counted have none.
    #[serde(default)]
    pub(super) grants_version: i64,
    /// When the user last showed who they are with all their factors, in seconds since 1970, and with
    /// which (OpenID Connect Core section 2, RFC 8176).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) auth_time: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) amr: Vec<String>,
    /// The API client (RFC 9068 section 2.2), which nobody else's token has; as the next two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client_id: Option<Uuid>,
    /// Its permissions, with spaces between them (RFC 8693 section 4.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<String>,
    /// The networks that it may call from; any when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) allowed_networks: Vec<String>,
    /// In seconds since 1970, as the next two.
    pub(super) iat: i64,
    pub(super) nbf: i64,
    pub(super) exp: i64,
    pub(super) roles: BTreeSet<String>,
    pub(super) permissions: BTreeSet<String>,
}
