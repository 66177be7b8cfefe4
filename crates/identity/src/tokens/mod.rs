//! Access tokens: JWTs signed with RS256 (guide section 2), issued at sign-in and checked on each
//! call. Checking costs one RSA operation for each token and process; after that the outcome is
//! remembered. What can change (the time, revocations) is checked on every use.

mod cache;
mod claims;
mod opaque;

pub(crate) use opaque::OpaqueToken;

use crate::Error;
use crate::keys::{Keys, KeysUnavailable};
use crate::roles::Grants;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cache::Cache;
use claims::Claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode};
use kernel::{Actor, ActorKind, Clock, IdSource, Timestamp, UserId};
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use web::{InvalidToken, Network};

/// Issues and checks access tokens.
pub(crate) struct AccessTokens {
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    issuer: String,
    audience: String,
    lifetime: Duration,
    validation: Validation,
    checked: Cache<[u8; 32], Arc<Checked>>,
}

/// A token whose signature, issuer and audience were found right.
pub(crate) struct Checked {
    pub(crate) actor: Actor,
    /// How often the actor's grants had been taken back when the token was made.
    pub(crate) grants_version: i64,
    /// Where it may come from; anywhere when there is none.
    pub(crate) allowed_networks: Vec<Network>,
    claims_nbf: i64,
    claims_exp: i64,
}

/// Whom a token is made for.
pub(crate) struct Subject {
    /// A user's id, or an API client's.
    pub(crate) id: UserId,
    pub(crate) session_id: Uuid,
    pub(crate) grants: Grants,
    pub(crate) kind: SubjectKind,
}

/// What a token says of its kind of subject alone.
pub(crate) enum SubjectKind {
    /// A user.
    Person {
        /// When they last showed who they are with all their factors.
        authenticated_at: Option<Timestamp>,
        /// With which (RFC 8176).
        factors: Vec<String>,
    },
    /// An API client.
    Program {
        /// Where it may call from; anywhere when there is none.
        networks: Vec<String>,
    },
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the access token is not valid: {}", .0.code())]
    Invalid(InvalidToken),
    #[error("the access token has expired")]
    Expired,
    #[error("the access token cannot be checked now")]
    Unavailable,
}

/// How far the clocks of the processes on one database may be apart, in seconds.
const LEEWAY_SECONDS: i64 = 5;
/// About 10 MB at a kilobyte each.
const CHECKED_MAX: usize = 10_000;
/// Ours have about 1 KiB; nothing larger is worth a look.
const TOKEN_LENGTH_MAX: usize = 8 * 1024;

impl AccessTokens {
    pub(crate) fn new(
        keys: Arc<Keys>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        issuer: String,
        audience: String,
        lifetime: Duration,
    ) -> Self {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[&issuer]);
        validation.set_audience(&[&audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Time is checked against our own clock, on every use.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let checked = Cache::with_capacity(CHECKED_MAX);
        Self { keys, clock, ids, issuer, audience, lifetime, validation, checked }
    }

    /// How long a new token counts.
    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A token that says who the subject is and what they may do, for the usual lifetime.
    pub(crate) async fn issue(&self, subject: Subject) -> Result<SecretString, Error> {
        self.issue_for(subject, self.lifetime).await
    }

    /// The same for a lifetime of its own.
    pub(crate) async fn issue_for(
        &self,
        subject: Subject,
        lifetime: Duration,
    ) -> Result<SecretString, Error> {
        let now = self.clock.now();
        let Subject { id, session_id, grants, kind } = subject;
        let scope = grants.permissions.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let mut claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: id.0,
            jti: self.ids.next(),
            sid: session_id,
            grants_version: grants.version,
            auth_time: None,
            amr: Vec::new(),
            client_id: None,
            scope: None,
            allowed_networks: Vec::new(),
            iat: now.as_seconds(),
            nbf: now.as_seconds(),
            exp: now.plus(lifetime).as_seconds(),
            roles: grants.roles,
            permissions: grants.permissions,
        };
        match kind {
            SubjectKind::Person { authenticated_at, factors } => {
                claims.auth_time = authenticated_at.map(Timestamp::as_seconds);
                claims.amr = factors;
            }
            SubjectKind::Program { networks } => {
                claims.client_id = Some(id.0);
                claims.scope = Some(scope);
                claims.allowed_networks = networks;
            }
        }
        let signing = self.keys.signing();
        let header = Header { kid: Some(signing.kid.clone()), ..Header::new(Algorithm::RS256) };
        // RFC 7515 section 7.1.
        let mut token = format!("{}.{}", encoded(&header)?, encoded(&claims)?);
        let signature = self.keys.sign(&signing, token.as_bytes()).await?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(SecretString::from(token))
    }

    /// What a token says, if it is one of ours and this is its time.
    pub(crate) async fn check(&self, token: &str) -> Result<Arc<Checked>, TokenError> {
        if token.len() > TOKEN_LENGTH_MAX {
            return Err(TokenError::Invalid(InvalidToken::Malformed));
        }
        let digest = sha256(token.as_bytes());
        let checked = match self.checked.get(&digest) {
            Some(checked) => checked,
            None => {
                let checked = Arc::new(self.check_signature(token).await?);
                self.checked.insert(digest, checked.clone());
                checked
            }
        };
        let now = self.clock.now().as_seconds();
        if now >= checked.claims_exp {
            return Err(TokenError::Expired);
        }
        if now.saturating_add(LEEWAY_SECONDS) < checked.claims_nbf {
            return Err(TokenError::Invalid(InvalidToken::NotYet));
        }
        Ok(checked)
    }

    /// A key is forgotten when its tokens are over, so whoever slept that long with one brings it honestly.
    /// It counts as little as one that only says so.
    fn by_unknown_key(&self, token: &str) -> TokenError {
        #[derive(serde::Deserialize)]
        struct End {
            exp: i64,
        }
        let end: Option<End> = part(token, 1);
        match end.is_some_and(|end| end.exp <= self.clock.now().as_seconds()) {
            true => TokenError::Expired,
            false => TokenError::Invalid(InvalidToken::UnknownKey),
        }
    }

    /// RFC 8725: the algorithm is ours to choose, not the token's, and the key is one that we
    /// published.
    async fn check_signature(&self, token: &str) -> Result<Checked, TokenError> {
        let malformed = TokenError::Invalid(InvalidToken::Malformed);
        let header: Algorithms = part(token, 0).ok_or(malformed)?;
        if header.alg != RS256 {
            return Err(TokenError::Invalid(InvalidToken::Algorithm));
        }
        let kid = header.kid.ok_or(malformed)?;
        let found =
            self.keys.find(&kid).await.map_err(|KeysUnavailable| TokenError::Unavailable)?;
        let Some(key) = found else {
            return Err(self.by_unknown_key(token));
        };
        let claims = decode::<Claims>(token, &key, &self.validation).map_err(why)?.claims;
        let networks = claims.allowed_networks.iter().map(|network| network.parse());
        Ok(Checked {
            grants_version: claims.grants_version,
            allowed_networks: networks.collect::<Result<_, _>>().map_err(|_| malformed)?,
            claims_nbf: claims.nbf,
            claims_exp: claims.exp,
            actor: Actor {
                user_id: UserId(claims.sub),
                kind: match claims.client_id {
                    Some(_) => ActorKind::Program,
                    None => ActorKind::Person,
                },
                session_id: claims.sid,
                roles: claims.roles,
                permissions: claims.permissions,
                authenticated_at: claims.auth_time.map(seconds),
            },
        })
    }
}

/// What a header says of the signature. Nothing else in it is looked at.
#[derive(serde::Deserialize)]
struct Algorithms {
    alg: String,
    kid: Option<String>,
}

/// The one algorithm (RFC 7518 section 3.1).
const RS256: &str = "RS256";

/// A part of a token, as it claims to be.
fn part<T: serde::de::DeserializeOwned>(token: &str, index: usize) -> Option<T> {
    let part = URL_SAFE_NO_PAD.decode(token.split('.').nth(index)?).ok()?;
    serde_json::from_slice(&part).ok()
}

/// What is wrong with a token whose key is one of ours.
fn why(error: jsonwebtoken::errors::Error) -> TokenError {
    TokenError::Invalid(match error.kind() {
        ErrorKind::InvalidSignature => InvalidToken::Forged,
        ErrorKind::InvalidAudience | ErrorKind::InvalidIssuer => InvalidToken::NotForUs,
        _ => InvalidToken::Malformed,
    })
}

fn encoded(part: &impl serde::Serialize) -> Result<String, Error> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).map_err(Error::Token)?))
}

fn seconds(since_1970: i64) -> Timestamp {
    Timestamp::from_micros(since_1970.saturating_mul(1_000_000))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array.copy_from_slice(digest(&SHA256, bytes).as_ref());
    array
}
