//! What staff do only when a colleague agrees, and when it can be decided.

use crate::permissions::{FACTORS_RESET, ROLES_WRITE, USERS_WRITE};
use crate::staff_error::StaffError;
use kernel::{Actor, Permission, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Something that two people do together, with all that is needed to do it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", content = "body", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Action {
    /// Let a user in again.
    UnlockUser {
        /// Whom.
        user_id: Uuid,
    },
    /// Remove all second factors of a user who lost them.
    ResetSecondFactor {
        /// Whose.
        user_id: Uuid,
    },
    /// Give a user a role.
    GrantRole {
        /// Whom.
        user_id: Uuid,
        /// Which.
        role: String,
        /// What it permitted when it was asked for; what it permits must still be that.
        permissions: BTreeSet<String>,
    },
    /// Let a role permit more.
    WidenRole {
        /// Which.
        role: String,
        /// What it shall permit as well.
        permissions: BTreeSet<String>,
    },
}

impl Action {
    /// The permission that whoever asks for it and whoever approves it both need.
    pub(crate) fn permission(&self) -> Permission {
        match self {
            Self::UnlockUser { .. } => USERS_WRITE,
            Self::ResetSecondFactor { .. } => FACTORS_RESET,
            Self::GrantRole { .. } | Self::WidenRole { .. } => ROLES_WRITE,
        }
    }
}

/// How an action stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionState {
    /// It waits for a colleague.
    Pending,
    /// A colleague agreed, and it was done.
    Approved,
    /// A colleague refused, or whoever asked took it back.
    Rejected,
    /// Nobody decided in time.
    Expired,
}

impl ActionState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let all = [Self::Pending, Self::Approved, Self::Rejected, Self::Expired];
        all.into_iter().find(|state| state.as_str() == text)
    }
}

/// An action that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaffAction {
    /// Given when it was asked for.
    pub id: Uuid,
    /// What it is.
    pub action: Action,
    /// Why it was asked for.
    pub reason: String,
    /// Who asked.
    pub requested_by: UserId,
    /// When.
    pub requested_at: Timestamp,
    /// Until when it can be approved.
    pub expires_at: Timestamp,
    /// How it stands.
    pub state: ActionState,
    /// Who approved or rejected it.
    pub decided_by: Option<UserId>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// Why it was rejected.
    pub decision_reason: Option<String>,
}

/// By whom an action is done: who asked for it, and the colleague who agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mandate {
    /// Who asked for it.
    pub(crate) requested_by: UserId,
    /// Who agreed, and to which action; `None` where one person is enough.
    pub(crate) approved: Option<(UserId, Uuid)>,
}

impl Mandate {
    /// Whose call does it.
    pub(crate) fn actor(self) -> UserId {
        self.approved.map_or(self.requested_by, |(approver, _)| approver)
    }

    /// What the audit trail says of it.
    pub(crate) fn details(self) -> Value {
        match self.approved {
            None => json!({ "requestedBy": self.requested_by.0 }),
            Some((approver, action)) => json!({
                "requestedBy": self.requested_by.0,
                "approvedBy": approver.0,
                "staffActionId": action,
            }),
        }
    }
}

impl StaffAction {
    /// How it stands at an instant: nobody writes down that a time is over.
    pub fn state_at(&self, now: Timestamp) -> ActionState {
        match self.state {
            ActionState::Pending if self.expires_at <= now => ActionState::Expired,
            state => state,
        }
    }

    /// Whether an actor may approve it now.
    pub(super) fn check_approver(&self, actor: &Actor, now: Timestamp) -> Result<(), StaffError> {
        let permission = self.action.permission();
        if !actor.may(permission) {
            return Err(StaffError::Forbidden(permission.0));
        }
        if actor.user_id == self.requested_by {
            return Err(StaffError::OwnRequest);
        }
        self.check_pending(now)
    }

    /// Whether an actor may reject it now. Whoever asked for it may, to take it back.
    pub(super) fn check_rejecter(&self, actor: &Actor, now: Timestamp) -> Result<(), StaffError> {
        let permission = self.action.permission();
        if !actor.may(permission) {
            return Err(StaffError::Forbidden(permission.0));
        }
        self.check_pending(now)
    }

    fn check_pending(&self, now: Timestamp) -> Result<(), StaffError> {
        match self.state_at(now) {
            ActionState::Pending => Ok(()),
            state => Err(StaffError::NotPending(state.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::ActorKind;

    fn action(state: ActionState) -> StaffAction {
        StaffAction {
            id: Uuid::nil(),
            action: Action::UnlockUser { user_id: Uuid::max() },
            reason: "because".into(),
            requested_by: UserId(Uuid::from_u128(1)),
            requested_at: Timestamp::from_micros(0),
            expires_at: Timestamp::from_micros(100),
            state,
            decided_by: None,
            decided_at: None,
            decision_reason: None,
        }
    }

    fn colleague(number: u128, permission: Permission) -> Actor {
        Actor {
            user_id: UserId(Uuid::from_u128(number)),
            kind: ActorKind::Person,
            session_id: Uuid::nil(),
            roles: BTreeSet::new(),
            permissions: [permission.0.to_owned()].into(),
            authenticated_at: None,
        }
    }

    #[test]
    fn another_person_with_the_permission_decides_in_time_and_once() {
        use ActionState::{Approved, Expired, Pending, Rejected};
        for (state, by, permission, at, approves, rejects) in [
            (Pending, 2, USERS_WRITE, 99, true, true),
            (Pending, 1, USERS_WRITE, 99, false, true),
            (Pending, 2, ROLES_WRITE, 99, false, false),
            (Pending, 2, USERS_WRITE, 100, false, false),
            (Approved, 2, USERS_WRITE, 99, false, false),
            (Rejected, 2, USERS_WRITE, 99, false, false),
            (Expired, 2, USERS_WRITE, 99, false, false),
        ] {
            let (action, actor) = (action(state), colleague(by, permission));
            let now = Timestamp::from_micros(at);
            let found = (
                action.check_approver(&actor, now).is_ok(),
                action.check_rejecter(&actor, now).is_ok(),
            );
            assert_eq!(found, (approves, rejects), "{state:?} {by} {permission:?} {at}");
        }
    }

    #[test]
    fn actions_are_stored_by_stable_names() {
        let grant = Action::GrantRole {
            user_id: Uuid::nil(),
            role: "Teller".into(),
            permissions: ["users:read".to_owned()].into(),
        };
        let text = serde_json::to_string(&grant).unwrap();
        assert_eq!(
            text,
            "{\"kind\":\"grant_role\",\"body\":{\"userId\":\"00000000-0000-0000-0000-000000000000\",\
             \"role\":\"Teller\",\"permissions\":[\"users:read\"]}}"
        );
        assert_eq!(serde_json::from_str::<Action>(&text).unwrap(), grant);
    }
}
