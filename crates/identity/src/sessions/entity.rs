//! A session, and what a refresh token that somebody presents is worth.

use super::refresh_token;
use kernel::Timestamp;
use std::time::Duration;
use store::sea_orm;
use store::sea_orm::entity::prelude::*;

/// A row of `user_sessions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_sessions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) user_agent: String,
    pub(crate) ip_address: String,
    pub(crate) created_at: i64,
    pub(crate) last_used_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) revoked_at: Option<i64>,
    /// When the user last showed who they are with all their factors.
    pub(crate) authenticated_at: Option<i64>,
    /// With which (RFC 8176), with spaces between them.
    pub(crate) factors: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What a refresh token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It can be exchanged.
    Good,
    /// It was exchanged before, and the session still lives: there are two copies of it.
    Reused,
    /// Its time is over.
    Nothing,
}

impl Model {
    /// Judges one of the session's tokens. A reused one is told even when it is old: its successors
    /// may live. No session lives longer than `lifetime`, also one from before that was set.
    pub(crate) fn worth_of(
        &self,
        token: &refresh_token::Model,
        lifetime: Duration,
        now: Timestamp,
    ) -> Worth {
        let over = |expires_at: i64| now >= Timestamp::from_micros(expires_at);
        let end = Timestamp::from_micros(self.created_at).plus(lifetime);
        if self.revoked_at.is_some() || over(self.expires_at) || now >= end {
            return Worth::Nothing;
        }
        if token.used_at.is_some() {
            return Worth::Reused;
        }
        if over(token.expires_at) { Worth::Nothing } else { Worth::Good }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(session: (i64, Option<i64>), token: (i64, Option<i64>), now: i64, worth: Worth) {
        let session = Model {
            id: Uuid::nil(),
            user_id: Uuid::nil(),
            user_agent: String::new(),
            ip_address: String::new(),
            created_at: 0,
            last_used_at: 0,
            expires_at: session.0,
            revoked_at: session.1,
            authenticated_at: None,
            factors: None,
        };
        let refresh_token = refresh_token::Model {
            id: Uuid::nil(),
            session_id: Uuid::nil(),
            token_hash: Vec::new(),
            created_at: 0,
            expires_at: token.0,
            used_at: token.1,
        };
        let lifetime = Duration::from_micros(1_000);
        let found = session.worth_of(&refresh_token, lifetime, Timestamp::from_micros(now));
        assert_eq!(found, worth, "{session:?} {token:?} at {now}");
    }

    #[test]
    fn a_token_is_good_once_and_in_its_time() {
        check((100, None), (100, None), 99, Worth::Good);
        check((100, None), (100, None), 100, Worth::Nothing);
        check((200, None), (100, None), 150, Worth::Nothing);
        check((200, None), (100, Some(50)), 60, Worth::Reused);
        check((200, None), (100, Some(50)), 150, Worth::Reused);
        check((200, None), (100, Some(50)), 200, Worth::Nothing);
        check((200, Some(70)), (100, Some(50)), 80, Worth::Nothing);
        check((200, Some(70)), (100, None), 80, Worth::Nothing);
        check((2_000, None), (2_000, None), 999, Worth::Good);
        check((2_000, None), (2_000, None), 1_000, Worth::Nothing);
        check((2_000, None), (2_000, Some(50)), 1_000, Worth::Nothing);
    }
}
