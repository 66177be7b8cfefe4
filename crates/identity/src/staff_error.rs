use crate::Error;
use store::StoreError;

/// Why staff did not get what they asked for.
#[derive(Debug, thiserror::Error)]
pub enum StaffError {
    /// There is no such user.
    #[error("there is no such user")]
    NotFound,
    /// The account is closed, for good.
    #[error("the user closed the account; it stays closed")]
    Closed,
    /// Nobody locks, unlocks or promotes themselves.
    #[error("this is your own account; ask a colleague")]
    OwnAccount,
    /// There is no such role.
    #[error("there is no such role")]
    NoSuchRole,
    /// The program keeps its own roles as they are.
    #[error("a role of the system cannot be changed; make one of your own")]
    BuiltInRole,
    /// Names of roles are told apart without regard to case.
    #[error("there is a role with this name")]
    RoleExists,
    /// A role that somebody holds stays.
    #[error("somebody holds the role; take it back first")]
    RoleInUse,
    /// There is no such permission.
    #[error("there is no permission {0}")]
    UnknownPermission(String),
    /// Nobody gives or takes what they do not have, or opens the account of somebody who has it.
    #[error(
        "you do not have the permission {0}, so you can neither give nor take it, nor reset the second \
         factor of somebody who has it"
    )]
    NotHeld(String),
    /// There is nothing to reset.
    #[error("the user has no second factor; the password alone signs them in")]
    NoSecondFactor,
    /// There is no such action.
    #[error("there is no such action")]
    NoSuchAction,
    /// Nobody approves what they asked for.
    #[error("you asked for this yourself; a colleague has to approve it")]
    OwnRequest,
    /// It was decided before, or its time is over.
    #[error("the action is {0} and cannot be decided any more")]
    NotPending(&'static str),
    /// What was asked for means something else by now.
    #[error("the role's permissions are others by now; reject this and ask again")]
    Outdated,
    /// Whoever asked may not do so any more.
    #[error("whoever asked for this may not do so any more; reject it")]
    RequesterNotEntitled,
    /// Who decides needs the permission of the action as well.
    #[error("this needs the permission {0}")]
    Forbidden(&'static str),
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<StoreError> for StaffError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}
