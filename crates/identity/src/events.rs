//! What identity tells others, through its outbox. Payloads hold ids, never personal data.

use kernel::{Timestamp, UserId};
use serde_json::json;
use store::outbox::NewEvent;
use uuid::Uuid;

/// Why a session ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RevocationReason {
    /// The user signed out.
    LoggedOut,
    /// A refresh token came a second time, so somebody else has a copy of it.
    RefreshTokenReused,
}

impl RevocationReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "logged_out",
            Self::RefreshTokenReused => "refresh_token_reused",
        }
    }
}

/// `identity.user_registered`: `{userId}`.
pub(crate) fn user_registered(user_id: UserId, occurred_at: Timestamp) -> NewEvent {
    NewEvent {
        event_type: "identity.user_registered",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0 }).to_string(),
    }
}

/// `identity.role_granted`: `{userId, role}`.
pub(crate) fn role_granted(user_id: UserId, role: &str, occurred_at: Timestamp) -> NewEvent {
    NewEvent {
        event_type: "identity.role_granted",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0, "role": role }).to_string(),
    }
}

/// `identity.session_revoked`: `{userId, sessionId, reason}`, where `reason` is `logged_out` or
/// `refresh_token_reused`. The aggregate is the user.
pub(crate) fn session_revoked(
    user_id: UserId,
    session_id: Uuid,
    reason: RevocationReason,
    occurred_at: Timestamp,
) -> NewEvent {
    NewEvent {
        event_type: "identity.session_revoked",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({
            "userId": user_id.0,
            "sessionId": session_id,
            "reason": reason.as_str(),
        })
        .to_string(),
    }
}
