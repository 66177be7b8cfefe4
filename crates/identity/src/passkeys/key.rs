//! Public keys of passkeys: COSE keys (RFC 9052 section 7, RFC 9053 section 7), checked with AWS-LC.

use super::Refusal;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use minicbor::Decoder;
use minicbor::data::Type;
use std::ops::RangeInclusive;

/// A signature algorithm by its number at IANA.
pub(crate) const ES256: i64 = -7;
/// Ed25519, as EdDSA is used by authenticators.
pub(crate) const EDDSA: i64 = -8;
/// RSASSA-PKCS1-v1_5 with SHA-256: what Windows Hello makes.
pub(crate) const RS256: i64 = -257;
/// Those that a passkey may have, the one we like best first.
pub(crate) const ALGORITHMS: [i64; 3] = [ES256, EDDSA, RS256];

/// A coordinate of P-256, or a key of Ed25519.
const COORDINATE_BYTES: usize = 32;
/// 2,048 to 8,192 bits.
const MODULUS_BYTES: RangeInclusive<usize> = 256..=1024;

/// A public key that can check signatures.
pub(super) struct PublicKey(ParsedPublicKey);

/// The members of a COSE key that the three kinds have.
#[derive(Default)]
struct Members {
    kty: Option<i64>,
    alg: Option<i64>,
    /// Label -1 where it is a number: the curve.
    curve: Option<i64>,
    /// Label -1 where it is bytes: the modulus.
    n: Vec<u8>,
    /// Label -2: the x coordinate or the exponent.
    x_or_e: Vec<u8>,
    /// Label -3: the y coordinate.
    y: Vec<u8>,
}

impl PublicKey {
    /// Reads the key that the decoder stands before, and stops behind it.
    pub(super) fn read(decoder: &mut Decoder<'_>) -> Result<Self, Refusal> {
        let members = Members::read(decoder).map_err(|_| Refusal::Malformed)?;
        members.into_key().map(Self).ok_or(Refusal::Key)
    }

    /// Whether this is the key's signature of the message.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

impl Members {
    fn read(decoder: &mut Decoder<'_>) -> Result<Self, minicbor::decode::Error> {
        let mut members = Self::default();
        let count = decoder.map()?.ok_or_else(|| minicbor::decode::Error::message("no length"))?;
        for _ in 0..count {
            let label = decoder.i64()?;
            match (label, decoder.datatype()?) {
                (1, _) => members.kty = Some(decoder.i64()?),
                (3, _) => members.alg = Some(decoder.i64()?),
                (-1, Type::Bytes) => members.n = decoder.bytes()?.to_vec(),
                (-1, _) => members.curve = Some(decoder.i64()?),
                (-2, Type::Bytes) => members.x_or_e = decoder.bytes()?.to_vec(),
                (-3, Type::Bytes) => members.y = decoder.bytes()?.to_vec(),
                _ => decoder.skip()?,
            }
        }
        Ok(members)
    }

    /// The key, if it is of a kind that we know and can check anything.
    fn into_key(self) -> Option<ParsedPublicKey> {
        let Self { n, x_or_e, y, .. } = self;
        match (self.kty?, self.alg?, self.curve) {
            (2, ES256, Some(1)) => {
                if [&x_or_e, &y].iter().any(|one| one.len() != COORDINATE_BYTES) {
                    return None;
                }
                // An uncompressed point (SEC 1 section 2.3.3).
                let point = [&[4][..], &x_or_e, &y].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).ok()
            }
            (1, EDDSA, Some(6)) if x_or_e.len() == COORDINATE_BYTES => {
                ParsedPublicKey::new(&ED25519, x_or_e).ok()
            }
            (3, RS256, None) if MODULUS_BYTES.contains(&n.len()) => {
                let components = RsaPublicKeyComponents { n, e: x_or_e };
                components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()
            }
            _ => None,
        }
    }
}
