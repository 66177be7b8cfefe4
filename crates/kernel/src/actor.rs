//! Who acts.

use crate::{Timestamp, UserId};
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// A right that a route asks for, such as `wallet:read`. Each module declares its own; roles bundle
/// them in the identity module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission(pub &'static str);

/// What an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// A user, who signed in.
    Person,
    /// An API client: it has permissions, and nothing of its own.
    Program,
}

/// The authenticated caller of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who: a user's id, or an API client's.
    pub user_id: UserId,
    /// Which of them.
    pub kind: ActorKind,
    /// The sign-in this call belongs to.
    pub session_id: Uuid,
    /// Names of the roles held when the token was issued.
    pub roles: BTreeSet<String>,
    /// Names of the permissions those roles gave, or of the scopes of an API client's token.
    pub permissions: BTreeSet<String>,
    /// When a person last showed who they are with all their factors; `None` if in this sign-in they
    /// did not, and of a program.
    pub authenticated_at: Option<Timestamp>,
}

impl Actor {
    /// Whether the actor holds `permission`.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(permission.0)
    }

    /// Whether it is less than `max_age` ago that the actor showed who they are.
    pub fn is_fresh(&self, max_age: Duration, now: Timestamp) -> bool {
        self.authenticated_at.is_some_and(|at| now < at.plus(max_age))
    }
}
