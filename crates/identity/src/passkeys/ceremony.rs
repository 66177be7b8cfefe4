//! What makes an authenticator's answer good (W3C Web Authentication Level 3, sections 7.1 and 7.2), as
//! far as it is a function of the answer: whose challenge it was, whose passkey it is and how far it had
//! counted are looked up by whoever calls this.
//!
//! Attestation statements are asked for by nobody and read by nobody, so a passkey says that the same
//! authenticator is there again, never of which make it is.

use super::key::PublicKey;
use crate::RelyingParty;
use aws_lc_rs::digest::{SHA256, digest};
use minicbor::Decoder;
use serde::Deserialize;

/// Why an answer is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not what the standard says.
    #[error("it is not what the standard says")]
    Malformed,
    /// It answers another kind of question.
    #[error("it answers another kind of question")]
    OtherCeremony,
    /// It was given to another site.
    #[error("it was given to another site")]
    OtherOrigin,
    /// It is for another relying party.
    #[error("it is for another relying party")]
    OtherRelyingParty,
    /// The authenticator did not verify its user.
    #[error("the authenticator did not verify its user")]
    UserNotVerified,
    /// The key is of no kind that we know.
    #[error("the key is of no kind that we know")]
    Key,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Signature,
    /// The passkey is unknown, or belongs to somebody else.
    #[error("the passkey belongs to somebody else")]
    OtherUser,
    /// The authenticator's counter went back.
    #[error("the authenticator's counter went back")]
    CounterWentBack,
}

/// What is asked of an authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ceremony {
    /// A new passkey.
    Registration,
    /// A signature.
    Assertion,
}

/// What the browser says of the question (section 5.8.1). It is signed as it came.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    /// In base64url.
    pub(super) challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

/// A new passkey, as an authenticator made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewCredential {
    pub(super) id: Vec<u8>,
    /// The COSE key.
    pub(super) public_key: Vec<u8>,
    pub(super) signature_count: u32,
}

/// What the authenticator says (section 6.1).
struct AuthenticatorData<'a> {
    relying_party_hash: &'a [u8],
    flags: u8,
    signature_count: u32,
    /// After the 37 bytes that are always there.
    rest: &'a [u8],
}

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const HAS_CREDENTIAL: u8 = 1 << 6;
const HAS_EXTENSIONS: u8 = 1 << 7;

const AAGUID_BYTES: usize = 16;
const CREDENTIAL_ID_BYTES_MAX: usize = 1023;

impl ClientData {
    pub(super) fn parse(json: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(json).map_err(|_| Refusal::Malformed)
    }

    fn check(&self, ceremony: Ceremony, relying_party: &RelyingParty) -> Result<(), Refusal> {
        let kind = match ceremony {
            Ceremony::Registration => "webauthn.create",
            Ceremony::Assertion => "webauthn.get",
        };
        if self.kind != kind {
            return Err(Refusal::OtherCeremony);
        }
        if self.cross_origin || !relying_party.origins.contains(&self.origin) {
            return Err(Refusal::OtherOrigin);
        }
        Ok(())
    }
}

impl<'a> AuthenticatorData<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (relying_party_hash, rest) = bytes.split_at_checked(32).ok_or(Refusal::Malformed)?;
        let (&flags, rest) = rest.split_first().ok_or(Refusal::Malformed)?;
        let (&count, rest) = rest.split_first_chunk().ok_or(Refusal::Malformed)?;
        let signature_count = u32::from_be_bytes(count);
        Ok(Self { relying_party_hash, flags, signature_count, rest })
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn check(&self, relying_party: &RelyingParty) -> Result<(), Refusal> {
        if self.relying_party_hash != digest(&SHA256, relying_party.id.as_bytes()).as_ref() {
            return Err(Refusal::OtherRelyingParty);
        }
        if !self.has(USER_PRESENT) || !self.has(USER_VERIFIED) {
            return Err(Refusal::UserNotVerified);
        }
        if self.has(BACKED_UP) && !self.has(BACKUP_ELIGIBLE) {
            return Err(Refusal::Malformed);
        }
        Ok(())
    }

    /// The credential of a registration (section 6.5.1), with nothing behind it but extensions.
    fn credential(&self) -> Result<NewCredential, Refusal> {
        if !self.has(HAS_CREDENTIAL) {
            return Err(Refusal::Malformed);
        }
        let credential = || {
            let (_, rest) = self.rest.split_at_checked(AAGUID_BYTES)?;
            let (&length, rest) = rest.split_first_chunk()?;
            rest.split_at_checked(usize::from(u16::from_be_bytes(length)))
        };
        let (id, rest) = credential().ok_or(Refusal::Malformed)?;
        if id.is_empty() || id.len() > CREDENTIAL_ID_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let mut decoder = Decoder::new(rest);
        PublicKey::read(&mut decoder)?;
        let public_key = rest.get(..decoder.position()).unwrap_or_default().to_vec();
        if self.has(HAS_EXTENSIONS) {
            decoder.skip().map_err(|_| Refusal::Malformed)?;
        }
        if decoder.position() != rest.len() {
            return Err(Refusal::Malformed);
        }
        Ok(NewCredential { id: id.to_vec(), public_key, signature_count: self.signature_count })
    }
}

/// The passkey that an authenticator made (section 7.1).
pub(super) fn check_registration(
    relying_party: &RelyingParty,
    client_data: &ClientData,
    attestation_object: &[u8],
) -> Result<NewCredential, Refusal> {
    client_data.check(Ceremony::Registration, relying_party)?;
    let data = authenticator_data(attestation_object).map_err(|_| Refusal::Malformed)?;
    let data = AuthenticatorData::parse(data.ok_or(Refusal::Malformed)?)?;
    data.check(relying_party)?;
    data.credential()
}

/// How far an authenticator counts that signed with this key (section 7.2).
pub(super) fn check_assertion(
    relying_party: &RelyingParty,
    client_data: (&ClientData, &[u8]),
    authenticator_data: &[u8],
    signature: &[u8],
    public_key: &[u8],
) -> Result<u32, Refusal> {
    let (client_data, client_data_json) = client_data;
    client_data.check(Ceremony::Assertion, relying_party)?;
    let data = AuthenticatorData::parse(authenticator_data)?;
    data.check(relying_party)?;
    let key = PublicKey::read(&mut Decoder::new(public_key))?;
    let message = [authenticator_data, digest(&SHA256, client_data_json).as_ref()].concat();
    if !key.verifies(&message, signature) {
        return Err(Refusal::Signature);
    }
    Ok(data.signature_count)
}

/// Whether an authenticator that had counted to `before` may come with `now` (section 6.1.1). One that
/// does not count says 0 for ever.
pub(super) fn counts_on(before: i64, now: i64) -> bool {
    now > before || (before == 0 && now == 0)
}

/// The authenticator data in an attestation object (section 6.5.4).
fn authenticator_data(object: &[u8]) -> Result<Option<&[u8]>, minicbor::decode::Error> {
    let mut decoder = Decoder::new(object);
    let mut found = None;
    for _ in 0..decoder.map()?.unwrap_or(0) {
        match decoder.str()? {
            "authData" => found = Some(decoder.bytes()?),
            _ => decoder.skip()?,
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
