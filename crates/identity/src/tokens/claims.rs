use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The claims of an access token (RFC 7519 section 4.1 and the guide's: roles, permissions).
#[derive(Deserialize, Serialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) aud: String,
    /// The user.
    pub(super) sub: Uuid,
    pub(super) jti: Uuid,
    /// The session, which can be revoked before the token's time is over.
    pub(super) sid: Uuid,
    /// In seconds since 1970, as the next two.
    pub(super) iat: i64,
    pub(super) nbf: i64,
    pub(super) exp: i64,
    pub(super) roles: BTreeSet<String>,
    pub(super) permissions: BTreeSet<String>,
}
