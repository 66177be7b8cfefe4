//! What identity tells others, through its outbox. Payloads hold ids, never personal data.

use crate::passkeys::PasskeyChange;
use crate::staff_actions::StaffAction;
use crate::verification::Contact;
use kernel::{Actor, Timestamp, UserId};
use serde_json::json;
use std::collections::BTreeSet;
use store::outbox::NewEvent;
use uuid::Uuid;

/// Why a session ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RevocationReason {
    /// The user signed out.
    LoggedOut,
    /// A refresh token came a second time, so somebody else has a copy of it.
    RefreshTokenReused,
    /// The user changed the password in another session.
    PasswordChanged,
    /// The password was reset.
    PasswordReset,
    /// Staff locked the user.
    UserLocked,
    /// Staff removed the user's second factors.
    SecondFactorReset,
    /// The user closed the account.
    UserClosed,
    /// The user changed the e-mail address or phone number in another session.
    ContactChanged,
    /// The user ended it from another session.
    EndedByUser,
}

impl RevocationReason {
    /// Who ends a session of this user, if it is known here: staff are named where they lock the user or
    /// reset the second factor.
    pub(crate) fn actor(self, owner: UserId) -> Option<UserId> {
        match self {
            Self::LoggedOut
            | Self::PasswordChanged
            | Self::ContactChanged
            | Self::UserClosed
            | Self::EndedByUser => Some(owner),
            Self::RefreshTokenReused
            | Self::PasswordReset
            | Self::UserLocked
            | Self::SecondFactorReset => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "logged_out",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::UserLocked => "user_locked",
            Self::SecondFactorReset => "second_factor_reset",
            Self::UserClosed => "user_closed",
            Self::ContactChanged => "contact_changed",
            Self::EndedByUser => "ended_by_user",
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

/// `identity.role_granted`: `{userId, role, by}`; `by` is null when an operator gave it.
pub(crate) fn role_granted(
    user_id: UserId,
    role: &str,
    by: Option<UserId>,
    occurred_at: Timestamp,
) -> NewEvent {
    let by = by.map(|by| by.0);
    NewEvent {
        event_type: "identity.role_granted",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0, "role": role, "by": by }).to_string(),
    }
}

/// `identity.role_taken`: `{userId, role, by}`.
pub(crate) fn role_taken(
    user_id: UserId,
    role: &str,
    by: UserId,
    occurred_at: Timestamp,
) -> NewEvent {
    NewEvent {
        event_type: "identity.role_taken",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0, "role": role, "by": by.0 }).to_string(),
    }
}

/// What happened to a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoleChange {
    /// It was made, with these permissions.
    Created,
    /// It permits these as well.
    Widened,
    /// It permits these no more.
    Narrowed,
    /// It is gone, and permitted these.
    Deleted,
}

/// `identity.role_created`, `identity.role_widened`, `identity.role_narrowed` and
/// `identity.role_deleted`: `{role, permissions, by}`. The aggregate's id is made from the name.
pub(crate) fn role_changed(
    change: RoleChange,
    role: &str,
    permissions: &BTreeSet<String>,
    by: UserId,
    occurred_at: Timestamp,
) -> NewEvent {
    NewEvent {
        event_type: match change {
            RoleChange::Created => "identity.role_created",
            RoleChange::Widened => "identity.role_widened",
            RoleChange::Narrowed => "identity.role_narrowed",
            RoleChange::Deleted => "identity.role_deleted",
        },
        aggregate_id: role_id(role),
        occurred_at,
        payload: json!({ "role": role, "permissions": permissions, "by": by.0 }).to_string(),
    }
}

/// What stands for a role where an id is needed.
pub(crate) fn role_id(role: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, role.as_bytes())
}

/// What somebody did about a staff action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StaffActionStep {
    /// They asked for it.
    Requested,
    /// They approved it, and it was done.
    Approved,
    /// They rejected it.
    Rejected,
}

/// `identity.staff_action_requested`, `identity.staff_action_approved` and
/// `identity.staff_action_rejected`: `{actionId, kind, body, requestedBy, by}`. The aggregate is the
/// action. Reasons are free text and stay in the store.
pub(crate) fn staff_action(
    step: StaffActionStep,
    action: &StaffAction,
    by: &Actor,
    occurred_at: Timestamp,
) -> NewEvent {
    let mut payload = json!(action.action);
    payload["actionId"] = json!(action.id);
    payload["requestedBy"] = json!(action.requested_by.0);
    payload["by"] = json!(by.user_id.0);
    NewEvent {
        event_type: match step {
            StaffActionStep::Requested => "identity.staff_action_requested",
            StaffActionStep::Approved => "identity.staff_action_approved",
            StaffActionStep::Rejected => "identity.staff_action_rejected",
        },
        aggregate_id: action.id,
        occurred_at,
        payload: payload.to_string(),
    }
}

/// `identity.session_revoked`: `{userId, sessionId, reason}`. The aggregate is the user.
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

/// `identity.user_locked_out`: `{userId, lockedUntil}`, after too many wrong passwords.
pub(crate) fn user_locked_out(
    user_id: UserId,
    locked_until: Timestamp,
    occurred_at: Timestamp,
) -> NewEvent {
    NewEvent {
        event_type: "identity.user_locked_out",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0, "lockedUntil": locked_until }).to_string(),
    }
}

/// `identity.user_locked` and `identity.user_unlocked`: `{userId, by}`, where `by` is a member of
/// staff. The reason is free text and stays in the store.
pub(crate) fn user_lock_changed(
    user_id: UserId,
    is_locked: bool,
    by: UserId,
    occurred_at: Timestamp,
) -> NewEvent {
    NewEvent {
        event_type: if is_locked { "identity.user_locked" } else { "identity.user_unlocked" },
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0, "by": by.0 }).to_string(),
    }
}

/// `identity.user_closed`: `{userId}`, by the user.
pub(crate) fn user_closed(user_id: UserId, occurred_at: Timestamp) -> NewEvent {
    NewEvent {
        event_type: "identity.user_closed",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0 }).to_string(),
    }
}

/// `identity.password_changed` and `identity.password_reset`: `{userId}`. The latter is by a token
/// from a message, without the old password.
pub(crate) fn password_replaced(
    user_id: UserId,
    is_reset: bool,
    occurred_at: Timestamp,
) -> NewEvent {
    NewEvent {
        event_type: if is_reset { "identity.password_reset" } else { "identity.password_changed" },
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0 }).to_string(),
    }
}

/// `identity.contact_changed`: `{userId, contact}`.
pub(crate) fn contact_changed(
    user_id: UserId,
    contact: Contact,
    occurred_at: Timestamp,
) -> NewEvent {
    NewEvent {
        event_type: "identity.contact_changed",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0, "contact": contact.as_str() }).to_string(),
    }
}

/// `identity.contact_verified`: `{userId, contact}`, where `contact` is `email` or `phone`.
pub(crate) fn contact_verified(
    user_id: UserId,
    contact: Contact,
    occurred_at: Timestamp,
) -> NewEvent {
    NewEvent {
        event_type: "identity.contact_verified",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0, "contact": contact.as_str() }).to_string(),
    }
}

/// `identity.contact_lost`: `{userId, contact}`: somebody else has shown that it is theirs.
pub(crate) fn contact_lost(user_id: UserId, contact: Contact, occurred_at: Timestamp) -> NewEvent {
    NewEvent {
        event_type: "identity.contact_lost",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0, "contact": contact.as_str() }).to_string(),
    }
}

/// `identity.new_device_signed_in`: `{userId, sessionId}`.
pub(crate) fn new_device_signed_in(
    user_id: UserId,
    session_id: Uuid,
    occurred_at: Timestamp,
) -> NewEvent {
    NewEvent {
        event_type: "identity.new_device_signed_in",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0, "sessionId": session_id }).to_string(),
    }
}

/// `identity.mfa_enabled` and `identity.mfa_disabled`: `{userId}`.
pub(crate) fn mfa_switched(user_id: UserId, is_on: bool, occurred_at: Timestamp) -> NewEvent {
    NewEvent {
        event_type: if is_on { "identity.mfa_enabled" } else { "identity.mfa_disabled" },
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0 }).to_string(),
    }
}

/// `identity.second_factor_reset`: `{userId, by}`, where `by` is a member of staff: the user lost all
/// second factors and has none any more. The reason is free text and stays in the store.
pub(crate) fn second_factor_reset(user_id: UserId, by: UserId, occurred_at: Timestamp) -> NewEvent {
    NewEvent {
        event_type: "identity.second_factor_reset",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0, "by": by.0 }).to_string(),
    }
}

/// `identity.recovery_codes_renewed`: `{userId}`.
pub(crate) fn recovery_codes_renewed(user_id: UserId, occurred_at: Timestamp) -> NewEvent {
    NewEvent {
        event_type: "identity.recovery_codes_renewed",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0 }).to_string(),
    }
}

/// `identity.authenticator_app_removed`: `{userId}`; a passkey is left, so a sign-in asks for a second
/// factor as before.
pub(crate) fn authenticator_app_removed(user_id: UserId, occurred_at: Timestamp) -> NewEvent {
    NewEvent {
        event_type: "identity.authenticator_app_removed",
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0 }).to_string(),
    }
}

/// `identity.passkey_added`, `identity.passkey_removed` and `identity.passkey_counter_went_back`:
/// `{userId, passkeyId}`. After the last, somebody may have a copy of the passkey.
pub(crate) fn passkey_changed(
    change: PasskeyChange,
    user_id: UserId,
    passkey_id: Uuid,
    occurred_at: Timestamp,
) -> NewEvent {
    NewEvent {
        event_type: match change {
            PasskeyChange::Added => "identity.passkey_added",
            PasskeyChange::Removed => "identity.passkey_removed",
            PasskeyChange::CounterWentBack => "identity.passkey_counter_went_back",
        },
        aggregate_id: user_id.0,
        occurred_at,
        payload: json!({ "userId": user_id.0, "passkeyId": passkey_id }).to_string(),
    }
}

/// `identity.api_client_created`: `{clientId, scopes, by}`. The aggregate is the client, as of the next
/// three; `by` is a member of staff.
pub(crate) fn api_client_created(
    client: UserId,
    scopes: &BTreeSet<String>,
    by: UserId,
    occurred_at: Timestamp,
) -> NewEvent {
    NewEvent {
        event_type: "identity.api_client_created",
        aggregate_id: client.0,
        occurred_at,
        payload: json!({ "clientId": client.0, "scopes": scopes, "by": by.0 }).to_string(),
    }
}

/// `identity.api_client_secret_rotated`: `{clientId, by}`.
pub(crate) fn api_client_secret_rotated(
    client: UserId,
    by: UserId,
    occurred_at: Timestamp,
) -> NewEvent {
    api_client_changed("identity.api_client_secret_rotated", client, by, occurred_at)
}

/// `identity.api_client_networks_changed`: `{clientId, by}`.
pub(crate) fn api_client_networks_changed(
    client: UserId,
    by: UserId,
    occurred_at: Timestamp,
) -> NewEvent {
    api_client_changed("identity.api_client_networks_changed", client, by, occurred_at)
}

/// `identity.api_client_revoked`: `{clientId, by}`. The reason is free text and stays in the store.
pub(crate) fn api_client_revoked(client: UserId, by: UserId, occurred_at: Timestamp) -> NewEvent {
    api_client_changed("identity.api_client_revoked", client, by, occurred_at)
}

fn api_client_changed(
    event_type: &'static str,
    client: UserId,
    by: UserId,
    occurred_at: Timestamp,
) -> NewEvent {
    NewEvent {
        event_type,
        aggregate_id: client.0,
        occurred_at,
        payload: json!({ "clientId": client.0, "by": by.0 }).to_string(),
    }
}
