//! What the module tells others: that something happened to a token, never to which card.

use kernel::{Timestamp, UserId};
use serde_json::json;
use store::outbox::NewEvent;
use uuid::Uuid;

/// What happens to the number behind a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Tokenized,
    Disclosed,
    Deleted,
}

impl Deed {
    /// As the audit trail calls it.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Tokenized => "card_number_tokenized",
            Self::Disclosed => "card_number_disclosed",
            Self::Deleted => "card_number_deleted",
        }
    }
}

pub(crate) fn event(deed: Deed, token_id: Uuid, by: UserId, occurred_at: Timestamp) -> NewEvent {
    let event_type = match deed {
        Deed::Tokenized => "cards.number_tokenized",
        Deed::Disclosed => "cards.number_disclosed",
        Deed::Deleted => "cards.number_deleted",
    };
    let payload = json!({ "tokenId": token_id, "by": by.0 }).to_string();
    NewEvent { event_type, aggregate_id: token_id, occurred_at, payload }
}
