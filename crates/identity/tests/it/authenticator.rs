//! An authenticator in software, and the browser around it: what `navigator.credentials` makes of our
//! questions. Its fields can be set to what an honest one would not do.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub(crate) const RP_ID: &str = "bank.example";
pub(crate) const ORIGIN: &str = "https://app.bank.example";

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 4;
const HAS_CREDENTIAL: u8 = 64;

/// An authenticator with one passkey.
pub(crate) struct Authenticator {
    key: EcdsaKeyPair,
    pub(crate) id: Vec<u8>,
    /// Whose the passkey is, as the site said.
    pub(crate) user_handle: Option<Vec<u8>>,
    /// Where the page comes from.
    pub(crate) origin: String,
    pub(crate) rp_id: String,
    /// Whether the user shows a finger.
    pub(crate) verifies_user: bool,
    pub(crate) count: u32,
    pub(crate) is_cross_origin: bool,
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Authenticator {
    /// One that has yet to make its passkey.
    pub(crate) fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let id = digest(&SHA256, key.public_key().as_ref()).as_ref()[..20].to_vec();
        Self {
            key,
            id,
            user_handle: None,
            origin: ORIGIN.to_owned(),
            rp_id: RP_ID.to_owned(),
            verifies_user: true,
            count: 0,
            is_cross_origin: false,
        }
    }

    /// `navigator.credentials.create()`.
    pub(crate) fn create(&mut self, options: &Value) -> Value {
        assert_eq!(options["rp"]["id"], RP_ID);
        assert_eq!(options["attestation"], "none");
        assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
        assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
        assert_eq!(options["pubKeyCredParams"][0], json!({ "type": "public-key", "alg": -7 }));
        let excluded = options["excludeCredentials"].as_array().unwrap();
        assert!(excluded.iter().all(|one| one["id"] != base64(&self.id)), "it is there already");
        let handle = options["user"]["id"].as_str().unwrap();
        self.user_handle = Some(URL_SAFE_NO_PAD.decode(handle).unwrap());
        let point = self.key.public_key().as_ref();
        // {1: 2, 3: -7, -1: 1, -2: x, -3: y}
        let mut public_key = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
        public_key.extend(&point[1..33]);
        public_key.extend([0x22, 0x58, 0x20]);
        public_key.extend(&point[33..]);
        let mut data = self.data(HAS_CREDENTIAL);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(public_key);
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        json!({
            "type": "public-key",
            "id": base64(&self.id),
            "rawId": base64(&self.id),
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64(self.client_data("webauthn.create", options)),
                "attestationObject": base64(object),
                "transports": ["internal"],
            },
        })
    }

    /// `navigator.credentials.get()`.
    pub(crate) fn get(&mut self, options: &Value) -> Value {
        assert_eq!(options["rpId"], RP_ID);
        assert_eq!(options["userVerification"], "required");
        let data = self.data(0);
        let client_data = self.client_data("webauthn.get", options);
        let signed = [data.as_slice(), digest(&SHA256, client_data.as_bytes()).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "type": "public-key",
            "id": base64(&self.id),
            "rawId": base64(&self.id),
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64(client_data),
                "authenticatorData": base64(data),
                "signature": base64(signature),
                "userHandle": self.user_handle.as_ref().map(base64),
            },
        })
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let verified = if self.verifies_user { USER_VERIFIED } else { 0 };
        let mut data = digest(&SHA256, self.rp_id.as_bytes()).as_ref().to_vec();
        data.push(flags | USER_PRESENT | verified);
        data.extend(self.count.to_be_bytes());
        data
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        let (challenge, origin) = (&options["challenge"], &self.origin);
        let is_cross_origin = self.is_cross_origin;
        json!({
            "type": kind, "challenge": challenge, "origin": origin, "crossOrigin": is_cross_origin,
            "other_keys_can_be_added_here": "do not compare clientDataJSON against a template",
        })
        .to_string()
    }
}
