//! Who acts.

use crate::UserId;
use std::collections::BTreeSet;
use uuid::Uuid;

/// A right that a route asks for, such as `wallet:read`. Each module declares its own; roles bundle
/// them in the identity module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission(pub &'static str);

/// The authenticated caller of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who: a user's id.
    pub user_id: UserId,
    /// The sign-in this call belongs to.
    pub session_id: Uuid,
    /// Names of the roles held when the token was issued.
    pub roles: BTreeSet<String>,
    /// Names of the permissions those roles gave.
    pub permissions: BTreeSet<String>,
}

impl Actor {
    /// Whether the actor holds `permission`.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(permission.0)
    }
}
