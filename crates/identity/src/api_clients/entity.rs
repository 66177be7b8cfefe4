//! An API client, and what makes one acceptable.

use crate::permissions::FOR_CLIENTS;
use kernel::{Actor, Timestamp, UserId};
use std::collections::BTreeSet;
use web::Network;

/// A program that has tokens of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiClient {
    /// Its `client_id`. In the books it stands where a user's id does.
    pub id: UserId,
    /// For people.
    pub name: String,
    /// The permissions that its tokens may have.
    pub scopes: BTreeSet<String>,
    /// The networks (CIDR) that it may call from; anywhere when there is none.
    pub allowed_networks: BTreeSet<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: UserId,
    /// When it ends; `None` if it does not.
    pub expires_at: Option<Timestamp>,
    /// When it got another secret the last time.
    pub rotated_at: Option<Timestamp>,
    /// When it got a token the last time.
    pub last_token_at: Option<Timestamp>,
    /// Since when it gets no more tokens and those it has do not count.
    pub revoked_at: Option<Timestamp>,
    /// Why.
    pub revoked_reason: Option<String>,
}

/// What a new API client is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiClient {
    /// For people.
    pub name: String,
    /// The permissions that its tokens may have.
    pub scopes: BTreeSet<String>,
    /// The networks (CIDR) that it may call from; anywhere when there is none.
    pub allowed_networks: BTreeSet<String>,
    /// When it ends; `None` if it does not.
    pub expires_at: Option<Timestamp>,
}

/// What is wrong with one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// A scope that no client can have.
    Scope(String),
    /// A text that is no network.
    Network(String),
    /// Its end is over already.
    Expired,
    /// Nobody gives what they do not have.
    NotHeld(String),
}

impl NewApiClient {
    pub(super) fn objection(&self, maker: &Actor, now: Timestamp) -> Option<Objection> {
        let known = |scope: &String| FOR_CLIENTS.iter().any(|one| one.0 == scope.as_str());
        if let Some(scope) = self.scopes.iter().find(|scope| !known(scope)) {
            return Some(Objection::Scope(scope.clone()));
        }
        if let Some(network) = not_a_network(&self.allowed_networks) {
            return Some(Objection::Network(network.clone()));
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            return Some(Objection::Expired);
        }
        self.scopes.difference(&maker.permissions).next().cloned().map(Objection::NotHeld)
    }
}

/// The first of these that is not a network.
pub(super) fn not_a_network(networks: &BTreeSet<String>) -> Option<&String> {
    networks.iter().find(|network| network.parse::<Network>().is_err())
}

impl ApiClient {
    /// Whether it gets tokens.
    pub(super) fn is_active(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }

    /// The scope of a token: what was asked for, or all of it; `None` if that is more than it has.
    pub(super) fn narrow(&self, asked: Option<&str>) -> Option<BTreeSet<String>> {
        let Some(asked) = asked else {
            return Some(self.scopes.clone());
        };
        let asked: BTreeSet<_> =
            asked.split(' ').filter(|one| !one.is_empty()).map(str::to_owned).collect();
        (!asked.is_empty() && asked.is_subset(&self.scopes)).then_some(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::ActorKind;
    use uuid::Uuid;

    fn texts(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let now = Timestamp::from_micros(100);
        let maker = Actor {
            user_id: UserId(Uuid::nil()),
            kind: ActorKind::Person,
            session_id: Uuid::nil(),
            roles: BTreeSet::new(),
            permissions: texts(&["ledger:read", "users:write"]),
            authenticated_at: None,
        };
        let good = NewApiClient {
            name: "Reports".into(),
            scopes: texts(&["ledger:read"]),
            allowed_networks: texts(&["192.0.2.0/24", "2001:db8::/32"]),
            expires_at: Some(Timestamp::from_micros(101)),
        };
        assert_eq!(good.objection(&maker, now), None);
        let scoped = |scope: &str| NewApiClient { scopes: texts(&[scope]), ..good.clone() };
        for scope in ["wallet:read", "wallet:write", "users:write", "clients:write", "x", ""] {
            let objection = scoped(scope).objection(&maker, now);
            assert_eq!(objection, Some(Objection::Scope(scope.to_owned())), "{scope}");
        }
        let objection = scoped("ledger:write").objection(&maker, now);
        assert_eq!(objection, Some(Objection::NotHeld("ledger:write".to_owned())));
        let elsewhere = NewApiClient { allowed_networks: texts(&["192.0.2.1"]), ..good.clone() };
        let objection = elsewhere.objection(&maker, now);
        assert_eq!(objection, Some(Objection::Network("192.0.2.1".to_owned())));
        let over = NewApiClient { expires_at: Some(now), ..good };
        assert_eq!(over.objection(&maker, now), Some(Objection::Expired));
    }
}
