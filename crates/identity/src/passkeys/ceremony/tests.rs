use super::*;
use crate::passkeys::key::{EDDSA, ES256, RS256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256};
use data_encoding::HEXLOWER;

fn site() -> RelyingParty {
    RelyingParty { id: "example.org".into(), origins: vec!["https://example.org".into()] }
}

/// Section 16.2 of the standard: ES256 with no attestation. Its authenticator does not verify users.
const OBJECT: &str = "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360\
    d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b559000000008446ccb9ab1db374750b2367ff6f3a1f0020f91f\
    391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4a5010203262001215820afefa16f97ca9b\
    2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b03458abf879717c12c\
    c68ed73290af2e2664796b9220";
const CREDENTIAL_ID: &str = "f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4";
const AUTHENTICATOR_DATA: &str =
    "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000";
const CLIENT_DATA: &str = r#"{"type":"webauthn.get","challenge":"OcDnUhQXulTUPo3JUXT0I97pvzzYBP9tZchXyav01Ag","origin":"https://example.org","crossOrigin":false}"#;
const SIGNATURE: &str = "3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd3802\
    21008480ac0f0b93538174f575bf11a1dd5d78c6e486013f937295ea13653e331e87";

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn data(object: &[u8]) -> AuthenticatorData<'_> {
    AuthenticatorData::parse(authenticator_data(object).unwrap().unwrap()).unwrap()
}

#[test]
fn the_example_of_the_standard_is_read_and_its_signature_is_right() {
    let object = hex(OBJECT);
    let credential = data(&object).credential().unwrap();
    assert_eq!(HEXLOWER.encode(&credential.id), CREDENTIAL_ID);
    let client_data = ClientData::parse(CLIENT_DATA.as_bytes()).unwrap();
    client_data.check(Ceremony::Assertion, &site()).unwrap();
    let other = client_data.check(Ceremony::Registration, &site());
    assert_eq!(other, Err(Refusal::OtherCeremony));
    let (said, mut signature) = (hex(AUTHENTICATOR_DATA), hex(SIGNATURE));
    let message = [&said, digest(&SHA256, CLIENT_DATA.as_bytes()).as_ref()].concat();
    let key = PublicKey::read(&mut Decoder::new(&credential.public_key)).unwrap();
    assert!(key.verifies(&message, &signature));
    *signature.last_mut().unwrap() ^= 1;
    assert!(!key.verifies(&message, &signature));
    let asserted = check_assertion(
        &site(),
        (&client_data, CLIENT_DATA.as_bytes()),
        &said,
        &hex(SIGNATURE),
        &credential.public_key,
    );
    assert_eq!(asserted, Err(Refusal::UserNotVerified));
}

#[test]
fn what_is_cut_off_or_too_long_is_malformed() {
    let object = hex(OBJECT);
    for end in 0..object.len() {
        let cut_off = object.get(..end).unwrap();
        assert!(authenticator_data(cut_off).ok().flatten().is_none(), "{end}");
    }
    let whole = authenticator_data(&object).unwrap().unwrap();
    let credential =
        |bytes: &[u8]| AuthenticatorData::parse(bytes).and_then(|data| data.credential());
    for end in 0..whole.len() {
        assert_eq!(credential(&whole[..end]), Err(Refusal::Malformed), "{end}");
    }
    assert_eq!(credential(&[whole, &[0]].concat()), Err(Refusal::Malformed));
    // Extensions may follow where they are announced.
    let mut extended = [whole, b"\xa1\x63abc\xf5"].concat();
    assert_eq!(credential(&extended), Err(Refusal::Malformed));
    extended[32] |= HAS_EXTENSIONS;
    assert_eq!(credential(&extended), credential(whole));
}

/// A COSE key of small labels.
fn cose(members: &[(i64, Member<'_>)]) -> Vec<u8> {
    let mut encoder = minicbor::Encoder::new(minicbor::encode::write::Cursor::new([0; 2048]));
    encoder.map(members.len().try_into().unwrap()).unwrap();
    for (label, member) in members {
        encoder.i64(*label).unwrap();
        match member {
            Member::Number(number) => encoder.i64(*number).unwrap(),
            Member::Bytes(bytes) => encoder.bytes(bytes).unwrap(),
        };
    }
    let cursor = encoder.into_writer();
    cursor.get_ref()[..cursor.position()].to_vec()
}

enum Member<'a> {
    Number(i64),
    Bytes(&'a [u8]),
}
use Member::{Bytes, Number};

fn read(members: &[(i64, Member<'_>)]) -> Result<PublicKey, Refusal> {
    PublicKey::read(&mut Decoder::new(&cose(members)))
}

#[test]
fn keys_of_ed25519_and_rsa_check_signatures() {
    let key = Ed25519KeyPair::generate().unwrap();
    let x = key.public_key().as_ref();
    let read_key = read(&[(1, Number(1)), (3, Number(EDDSA)), (-1, Number(6)), (-2, Bytes(x))]);
    let signature = key.sign(b"message");
    assert!(read_key.as_ref().is_ok_and(|key| key.verifies(b"message", signature.as_ref())));
    assert!(read_key.is_ok_and(|key| !key.verifies(b"massage", signature.as_ref())));

    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let n: Vec<u8> = key.public_key().modulus().big_endian_without_leading_zero().to_vec();
    let e: Vec<u8> = key.public_key().exponent().big_endian_without_leading_zero().to_vec();
    let read_key = read(&[(1, Number(3)), (3, Number(RS256)), (-1, Bytes(&n)), (-2, Bytes(&e))]);
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"message", &mut signature).unwrap();
    assert!(read_key.as_ref().is_ok_and(|key| key.verifies(b"message", &signature)));
    assert!(read_key.is_ok_and(|key| !key.verifies(b"massage", &signature)));
    let weak = [(1, Number(3)), (3, Number(RS256)), (-1, Bytes(&n[..255])), (-2, Bytes(&e))];
    assert_eq!(read(&weak).err(), Some(Refusal::Key));
}

#[test]
fn keys_that_could_check_nothing_are_refused() {
    let key = data(&hex(OBJECT)).credential().unwrap().public_key;
    let (x, y) = (&key[10..42], &key[45..]);
    let point = |x, y| [(1, Number(2)), (3, Number(ES256)), (-1, Number(1)), (-2, x), (-3, y)];
    assert!(read(&point(Bytes(x), Bytes(y))).is_ok());
    let refused = |members: &[(i64, Member<'_>)]| read(members).err() == Some(Refusal::Key);
    assert!(refused(&point(Bytes(y), Bytes(x))), "not on the curve");
    assert!(refused(&point(Bytes(&x[1..]), Bytes(y))));
    assert!(refused(&point(Bytes(x), Bytes(&[]))));
    assert!(refused(&[(1, Number(2)), (3, Number(-35)), (-1, Number(2)), (-2, Bytes(x))]));
    assert!(refused(&[(3, Number(ES256))]));
    assert!(refused(&[]));
}

#[test]
fn a_counter_goes_on_or_is_not_there() {
    for (before, now, goes_on) in
        [(0, 0, true), (0, 1, true), (1, 2, true), (1, 1, false), (2, 1, false), (1, 0, false)]
    {
        assert_eq!(counts_on(before, now), goes_on, "{before} {now}");
    }
}
