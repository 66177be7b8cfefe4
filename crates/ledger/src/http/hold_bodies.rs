//! The JSON shapes of holds, in routes and events.

use super::bodies::LegBody;
use kernel::Timestamp;
use ledger_api::{Hold, HoldStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// Where a hold stands.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum HoldStatusBody {
    /// Something is still set aside.
    Pending,
    /// The last capture was made.
    Captured,
    /// What was left was released on request.
    Voided,
    /// What was left was released because its time was over.
    Expired,
}

/// Money set aside. Amounts are in minor units of the first leg.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HoldBody {
    id: Uuid,
    /// Its place in the journal.
    sequence: i64,
    status: HoldStatusBody,
    kind: String,
    description: Option<String>,
    reference: Option<String>,
    metadata: BTreeMap<String, String>,
    legs: Vec<LegBody>,
    amount_minor_units: i64,
    captured_minor_units: i64,
    /// What is still set aside.
    remaining_minor_units: i64,
    tolerance_minor_units: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The user or API client who asked for it first. Null when nobody did, or before the journal had this.
    initiated_by: Option<Uuid>,
    /// Likewise who had it voided. Null of a hold that was not.
    released_by: Option<Uuid>,
}

/// The event of a hold's end other than by a capture.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HoldReleasedBody {
    pub(crate) id: Uuid,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) released_at: Timestamp,
    pub(crate) initiated_by: Option<Uuid>,
}

impl From<HoldStatus> for HoldStatusBody {
    fn from(status: HoldStatus) -> Self {
        match status {
            HoldStatus::Pending => Self::Pending,
            HoldStatus::Captured => Self::Captured,
            HoldStatus::Voided => Self::Voided,
            HoldStatus::Expired => Self::Expired,
        }
    }
}

impl From<HoldStatusBody> for HoldStatus {
    fn from(status: HoldStatusBody) -> Self {
        match status {
            HoldStatusBody::Pending => Self::Pending,
            HoldStatusBody::Captured => Self::Captured,
            HoldStatusBody::Voided => Self::Voided,
            HoldStatusBody::Expired => Self::Expired,
        }
    }
}

impl From<Hold> for HoldBody {
    fn from(hold: Hold) -> Self {
        Self {
            amount_minor_units: hold.amount(),
            remaining_minor_units: hold.remaining(),
            id: hold.id.0,
            sequence: hold.sequence,
            status: hold.status.into(),
            kind: hold.kind,
            description: hold.description,
            reference: hold.reference,
            metadata: hold.metadata,
            legs: hold.legs.into_iter().map(Into::into).collect(),
            captured_minor_units: hold.captured,
            tolerance_minor_units: hold.tolerance,
            expires_at: hold.expires_at,
            created_at: hold.created_at,
            initiated_by: hold.initiated_by.map(|user| user.0),
            released_by: hold.released_by.map(|user| user.0),
        }
    }
}
