//! What an entry of the audit trail says, and the hash that ties it to the one before.

use aws_lc_rs::digest::{Context, SHA256};
use kernel::{Timestamp, UserId};
use uuid::Uuid;

/// What the hash of the first entry covers in place of the one before it.
pub(super) const BEGINNING: [u8; 32] = [0; 32];
/// Tells this encoding from any other that is hashed. Another encoding has another name.
const ENCODING: &[u8] = b"finitech/audit/1";

/// Something that somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, from 1, without gaps.
    pub sequence: i64,
    /// When.
    pub occurred_at: Timestamp,
    /// Who: a user, or an API client, which is the object of an `api_client_created`. `None` when nobody
    /// was signed in, or an operator did it on the command line.
    pub actor: Option<UserId>,
    /// What: `user_locked`.
    pub action: String,
    /// What it was done to: the id of a user, an API client, a staff action, a card token, or an account,
    /// hold, transaction or stream of the ledger, or one that is made from the name of a role. `None` where
    /// there is no such thing.
    pub object: Option<Uuid>,
    /// Where the request came from; empty when there was none.
    pub client_address: String,
    /// The program that sent it, in its own words.
    pub user_agent: String,
    /// The rest, as JSON.
    pub details: String,
}

impl AuditEntry {
    /// SHA-256 of the name of the encoding, the hash before, and the fields in order. Numbers are 64 bits,
    /// the most significant first; an id is 16 bytes after a byte that is 1, or a byte that is 0 where
    /// there is none; a text is its length in bytes, as a number, and its bytes in UTF-8.
    pub(super) fn hash(&self, before: &[u8]) -> Vec<u8> {
        let mut context = Context::new(&SHA256);
        context.update(ENCODING);
        context.update(before);
        context.update(&self.sequence.to_be_bytes());
        context.update(&self.occurred_at.as_micros().to_be_bytes());
        id(&mut context, self.actor.map(|actor| actor.0));
        text(&mut context, &self.action);
        id(&mut context, self.object);
        text(&mut context, &self.client_address);
        text(&mut context, &self.user_agent);
        text(&mut context, &self.details);
        context.finish().as_ref().to_vec()
    }
}

fn id(context: &mut Context, id: Option<Uuid>) {
    context.update(&[u8::from(id.is_some())]);
    if let Some(id) = id {
        context.update(id.as_bytes());
    }
}

fn text(context: &mut Context, text: &str) {
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    context.update(&length.to_be_bytes());
    context.update(text.as_bytes());
}

/// The parts of a contact that tell whose it is to whoever knows it: `a…a@example.com`, `+212…78`.
pub(crate) fn masked(contact: &str) -> String {
    let ends = |text: &str, first: usize, last: usize| {
        let letters: Vec<char> = text.chars().collect();
        let hidden = letters.len().saturating_sub(first.saturating_add(last));
        if hidden < 3 {
            return "…".to_owned();
        }
        let (begin, rest) = letters.split_at(first);
        let (_, end) = rest.split_at(hidden);
        format!("{}…{}", begin.iter().collect::<String>(), end.iter().collect::<String>())
    };
    match contact.split_once('@') {
        Some((local, domain)) => format!("{}@{domain}", ends(local, 1, 1)),
        None => ends(contact, 4, 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> AuditEntry {
        AuditEntry {
            sequence: 1,
            occurred_at: Timestamp::from_micros(1_700_000_000_000_000),
            actor: None,
            action: "log_in_failed".into(),
            object: Some(Uuid::from_u128(7)),
            client_address: "203.0.113.9".into(),
            user_agent: String::new(),
            details: "{}".into(),
        }
    }

    /// Made with `hashlib` of Python from the description above.
    #[test]
    fn the_hash_is_that_of_the_described_encoding() {
        let hash = data_encoding::HEXLOWER.encode(&entry().hash(&BEGINNING));
        assert_eq!(hash, "4c980782879f6add5ad6c78891974fc8d860084391f807fc10a0111d4366b5ec");
    }

    #[test]
    fn every_field_counts() {
        let hash = entry().hash(&BEGINNING);
        let others = [
            AuditEntry { sequence: 2, ..entry() },
            AuditEntry { occurred_at: Timestamp::EPOCH, ..entry() },
            AuditEntry { actor: Some(UserId(Uuid::nil())), ..entry() },
            AuditEntry { action: "logged_in".into(), ..entry() },
            AuditEntry { object: None, ..entry() },
            AuditEntry { client_address: "203.0.113.".into(), user_agent: "9".into(), ..entry() },
            AuditEntry { details: "{ }".into(), ..entry() },
        ];
        for other in others {
            assert_ne!(other.hash(&BEGINNING), hash, "{other:?}");
        }
        assert_ne!(entry().hash(&hash), hash);
    }

    #[test]
    fn contacts_are_masked() {
        for (contact, expected) in [
            ("amina@example.com", "a…a@example.com"),
            ("ab@example.com", "…@example.com"),
            ("+212612345678", "+212…78"),
        ] {
            assert_eq!(masked(contact), expected);
        }
    }
}
