//! Checkpoints: heads of the history's tree as signed notes, in the form of C2SP's `tlog-checkpoint` and
//! `signed-note`, which the tools of transparency logs read. docs/LEDGER-PROOFS.md has the lines.

use super::tree::{Hash, sha256};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kernel::Timestamp;
use std::fmt;
use std::str::FromStr;

/// Ed25519, as signed notes number it.
const ALGORITHM: u8 = 1;
const SIGNATURE_LINE: &str = "\u{2014} ";

/// The public half of a key that checkpoints are signed with, as the tools write it:
/// `<name>+<key id in hex>+<base64>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: Hash,
}

/// Why a text is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a verifier key; it looks like bank.example/ledger+1a2b3c4d+AbCd…")]
pub struct NotAVerifierKey;

/// Why a text is no name of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a ledger is not empty and has neither spaces nor a plus sign")]
pub struct NotAName;

/// The key of a process that signs checkpoints.
pub struct CheckpointSigner {
    name: String,
    pair: Ed25519KeyPair,
}

/// The head of the tree at a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Whose history it is.
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
    /// The link of the group that ends there.
    pub(crate) link: Hash,
    pub(crate) signed_at: Timestamp,
}

impl VerifierKey {
    /// The first four bytes of the key's digest, by which signatures name it.
    fn id(&self) -> [u8; 4] {
        let digest = sha256(&[self.name.as_bytes(), b"\n", &[ALGORITHM], &self.public].concat());
        [digest[0], digest[1], digest[2], digest[3]]
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(self.id());
        let key = STANDARD.encode([&[ALGORITHM], self.public.as_slice()].concat());
        write!(formatter, "{}+{id:08x}+{key}", self.name)
    }
}

impl FromStr for VerifierKey {
    type Err = NotAVerifierKey;

    fn from_str(text: &str) -> Result<Self, NotAVerifierKey> {
        let (name, rest) = text.trim().split_once('+').ok_or(NotAVerifierKey)?;
        let (_, key) = rest.split_once('+').ok_or(NotAVerifierKey)?;
        let bytes = STANDARD.decode(key).map_err(|_| NotAVerifierKey)?;
        let [ALGORITHM, public @ ..] = bytes.as_slice() else { return Err(NotAVerifierKey) };
        let public = public.try_into().map_err(|_| NotAVerifierKey)?;
        let key = Self { name: name.to_owned(), public };
        // The id in the middle must be the key's own.
        if is_name(name) && key.to_string() == text.trim() { Ok(key) } else { Err(NotAVerifierKey) }
    }
}

impl fmt::Debug for CheckpointSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CheckpointSigner({})", self.verifier_key())
    }
}

impl CheckpointSigner {
    /// `name` is the ledger's, such as `bank.example/ledger`.
    /// `seed` is the private key of RFC 8032 section 5.1.5.
    pub fn try_new(name: &str, seed: &[u8; 32]) -> Result<Self, NotAName> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NotAName)?;
        if is_name(name) { Ok(Self { name: name.to_owned(), pair }) } else { Err(NotAName) }
    }

    /// What others check its signatures with.
    pub fn verifier_key(&self) -> VerifierKey {
        let mut public = Hash::default();
        public.copy_from_slice(self.pair.public_key().as_ref());
        VerifierKey { name: self.name.clone(), public }
    }

    /// The note of a checkpoint: its text, an empty line and the signature.
    pub(crate) fn note(&self, size: u64, root: &Hash, link: &Hash, signed_at: Timestamp) -> String {
        let origin = self.name.clone();
        let text = Checkpoint { origin, size, root: *root, link: *link, signed_at }.to_string();
        let signature = self.pair.sign(text.as_bytes());
        let signature = STANDARD.encode([&self.verifier_key().id(), signature.as_ref()].concat());
        format!("{text}\n{SIGNATURE_LINE}{} {signature}\n", self.name)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root))?;
        writeln!(formatter, "link {}\ntime {}", STANDARD.encode(self.link), self.signed_at)
    }
}

impl Checkpoint {
    /// What a note says, if one of the keys signed it.
    pub(crate) fn opened(note: &str, keys: &[VerifierKey]) -> Option<Self> {
        let (text, signatures) = note.split_once("\n\n")?;
        let text = format!("{text}\n");
        let is_signed = signatures.lines().any(|line| {
            keys.iter().any(|key| is_signature_of(line, key, text.as_bytes()).unwrap_or(false))
        });
        is_signed.then(|| Self::parsed(&text)).flatten()
    }

    /// What a note says, whoever wrote it.
    pub(crate) fn unverified(note: &str) -> Option<Self> {
        let (text, _) = note.split_once("\n\n")?;
        Self::parsed(&format!("{text}\n"))
    }

    fn parsed(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let origin = lines.next()?.to_owned();
        let size = lines.next()?.parse().ok()?;
        let root = hash_from(lines.next()?)?;
        let link = hash_from(lines.next()?.strip_prefix("link ")?)?;
        let signed_at = lines.next()?.strip_prefix("time ")?.parse().ok()?;
        let checkpoint = Self { origin, size, root, link, signed_at };
        (checkpoint.to_string() == text).then_some(checkpoint)
    }
}

pub(crate) fn hash_from(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|one: char| one.is_whitespace() || one == '+')
}

fn is_signature_of(line: &str, key: &VerifierKey, text: &[u8]) -> Option<bool> {
    let (name, signature) = line.strip_prefix(SIGNATURE_LINE)?.split_once(' ')?;
    let bytes = STANDARD.decode(signature).ok()?;
    let (id, signature) = bytes.split_at_checked(4)?;
    let public = UnparsedPublicKey::new(&ED25519, key.public);
    Some(name == key.name && *id == key.id() && public.verify(text, signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(seed: u8) -> CheckpointSigner {
        CheckpointSigner::try_new("bank.example/ledger", &[seed; 32]).unwrap()
    }

    fn note() -> String {
        signer(7).note(42, &[1; 32], &[2; 32], "2026-11-23T12:00:00.000001Z".parse().unwrap())
    }

    /// Key and note from the documentation of Go's `golang.org/x/mod/sumdb/note`.
    #[test]
    fn keys_and_signatures_are_those_of_other_tools() {
        let secret = STANDARD.decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").unwrap();
        let seed = secret[1..].try_into().unwrap();
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let line = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZ\
                    SNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let key = CheckpointSigner::try_new("PeterNeumann", seed).unwrap().verifier_key();
        let written = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(key.to_string(), written);
        assert_eq!(written.parse(), Ok(key.clone()));
        assert_eq!(is_signature_of(line, &key, text.as_bytes()), Some(true));
        assert_eq!(is_signature_of(line, &key, b"another text\n"), Some(false));
    }

    #[test]
    fn a_note_opens_with_its_key_alone() {
        let opened = Checkpoint::opened(&note(), &[signer(7).verifier_key()]).unwrap();
        assert_eq!((opened.size, opened.root, opened.link), (42, [1; 32], [2; 32]));
        assert_eq!(opened.origin, "bank.example/ledger");
        assert_eq!(Checkpoint::opened(&note(), &[signer(8).verifier_key()]), None);
        assert_eq!(Checkpoint::opened(&note(), &[]), None);
    }

    #[test]
    fn a_changed_note_does_not_open() {
        let keys = [signer(7).verifier_key()];
        let note = note();
        for (at, character) in note.char_indices() {
            let mut changed = note.clone();
            let other = if character == 'A' { "B" } else { "A" };
            changed.replace_range(at..at + character.len_utf8(), other);
            // The last digits of base64 may mean nothing.
            if let Some(opened) = Checkpoint::opened(&changed, &keys) {
                panic!("{opened:?} of {changed}");
            }
        }
        assert_eq!(Checkpoint::opened(&note[..note.len() - 10], &keys), None);
        assert_eq!(Checkpoint::opened("", &keys), None);
    }

    #[test]
    fn what_is_no_key_or_name_is_refused() {
        let key = signer(7).verifier_key().to_string();
        for text in
            ["", "a", "a+b", "a+b+c", &key.replace('+', " "), &key[1..], &key[..key.len() - 4]]
        {
            assert_eq!(text.parse::<VerifierKey>(), Err(NotAVerifierKey), "{text}");
        }
        for name in ["", "a b", "a+b", "a\n"] {
            assert!(CheckpointSigner::try_new(name, &[7; 32]).is_err(), "{name}");
        }
    }
}
