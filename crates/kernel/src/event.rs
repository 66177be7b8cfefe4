//! What other modules and the outside world are told.

use crate::Timestamp;
use uuid::Uuid;

/// Something that happened, as its module's outbox keeps it. Delivered at least once and in order of
/// `position`; consumers drop what they have seen by `position`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The place in the module's stream: 1, 2, 3, … in commit order, without gaps.
    pub position: i64,
    /// What happened: `wallet.transfer_completed`.
    pub event_type: String,
    /// The thing it happened to.
    pub aggregate_id: Uuid,
    /// When.
    pub occurred_at: Timestamp,
    /// A JSON object, the snapshot consumers work from. Holds no contact data and no secrets; free text
    /// that a caller put on a ledger transaction passes through.
    pub payload: String,
}
