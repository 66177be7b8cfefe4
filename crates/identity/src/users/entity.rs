//! A user, and what makes a registration acceptable.

use super::{InvalidField, NewUser, User};
use crate::contacts::{EmailAddress, PhoneNumber};
use crate::roles::entity::is_built_in;
use kernel::{Timestamp, UserId};
use secrecy::SecretString;
use std::fmt;
use uuid::Uuid;

/// A user, with what is sealed in the table opened.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) phone_number: String,
    pub(crate) display_name: String,
    pub(crate) password_hash: String,
    pub(crate) status: String,
    pub(crate) created_at: i64,
    pub(crate) password_changed_at: i64,
    pub(crate) status_reason: Option<String>,
    pub(crate) status_changed_at: Option<i64>,
    pub(crate) status_changed_by: Option<Uuid>,
    pub(crate) last_log_in_at: Option<i64>,
    pub(crate) email_verified_at: Option<i64>,
    pub(crate) phone_verified_at: Option<i64>,
}

/// The status of a user who may sign in.
pub(crate) const ACTIVE: &str = "active";
/// Staff keep the user out until staff let them in again.
pub(crate) const LOCKED: &str = "locked";
/// The user left, for good.
pub(crate) const CLOSED: &str = "closed";
const DISPLAY_NAME_LENGTH_MAX: usize = 100;

impl Model {
    pub(crate) fn is_active(&self) -> bool {
        self.status == ACTIVE
    }
}

impl From<Model> for User {
    fn from(row: Model) -> Self {
        Self {
            id: UserId(row.id),
            email: row.email,
            phone_number: row.phone_number,
            display_name: row.display_name,
            email_verified: row.email_verified_at.is_some(),
            phone_verified: row.phone_verified_at.is_some(),
            created_at: Timestamp::from_micros(row.created_at),
        }
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("users").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A registration whose every field was found acceptable.
pub(super) struct Registration {
    pub(super) email: EmailAddress,
    pub(super) phone_number: PhoneNumber,
    pub(super) password: SecretString,
    pub(super) display_name: String,
}

impl Registration {
    /// Checks all fields and names all that are at fault. What is wrong with the password, if anything,
    /// was found out before.
    pub(super) fn try_new(
        new_user: NewUser,
        objection_to_password: Option<&'static str>,
        roles: &[&str],
    ) -> Result<Self, Vec<InvalidField>> {
        let NewUser { email, phone_number, password, display_name } = new_user;
        let display_name = display_name.trim().to_owned();
        let objections = [
            ("displayName", objection_to_name(&display_name)),
            ("password", objection_to_password),
            (
                "roles",
                roles
                    .iter()
                    .any(|role| !is_built_in(role))
                    .then_some("must be names of built-in roles"),
            ),
        ];
        let mut invalid: Vec<InvalidField> = objections
            .into_iter()
            .filter_map(|(field, reason)| Some(InvalidField { field, reason: reason? }))
            .collect();
        match (EmailAddress::parse(&email), PhoneNumber::parse(&phone_number)) {
            (Some(email), Some(phone_number)) if invalid.is_empty() => {
                Ok(Self { email, phone_number, password, display_name })
            }
            (email, phone_number) => {
                let contacts = [
                    (email.is_none(), "email", "must be an e-mail address like amina@example.com"),
                    (
                        phone_number.is_none(),
                        "phoneNumber",
                        "must be a phone number with its country code, such as +212612345678",
                    ),
                ];
                let at_fault = contacts.into_iter().filter(|(at_fault, ..)| *at_fault);
                invalid.extend(at_fault.map(|(_, field, reason)| InvalidField { field, reason }));
                Err(invalid)
            }
        }
    }
}

fn objection_to_name(name: &str) -> Option<&'static str> {
    if !(1..=DISPLAY_NAME_LENGTH_MAX).contains(&name.chars().count()) {
        return Some("must have 1 to 100 characters");
    }
    name.chars().any(char::is_control).then_some("must not contain control characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        email: &str,
        phone_number: &str,
        objection: Option<&'static str>,
        name: &str,
        at_fault: &[&str],
    ) {
        let new_user = NewUser {
            email: email.into(),
            phone_number: phone_number.into(),
            password: "demo-Finitech-1".into(),
            display_name: name.into(),
        };
        let registration = Registration::try_new(new_user, objection, &["Customer"]);
        let invalid = registration.err().unwrap_or_default();
        let mut fields: Vec<_> = invalid.iter().map(|one| one.field).collect();
        fields.sort_unstable();
        assert_eq!(fields, at_fault, "{email} {phone_number} {objection:?} {name}");
    }

    #[test]
    fn every_field_at_fault_is_named_at_once() {
        let (email, phone, name) = ("amina@example.com", "+212612345678", "Amina");
        let short = Some("must have 10 to 128 characters");
        let long_name = "é".repeat(101);
        check(email, phone, None, name, &[]);
        check(email, phone, None, &"é".repeat(100), &[]);
        check("amina", phone, None, name, &["email"]);
        check(email, "0612345678", None, name, &["phoneNumber"]);
        check(email, phone, short, name, &["password"]);
        check(email, phone, None, " \u{a0} ", &["displayName"]);
        check(email, phone, None, "Ami\u{0}na", &["displayName"]);
        check(email, phone, None, &long_name, &["displayName"]);
        check("", "", short, "", &["displayName", "email", "password", "phoneNumber"]);
    }

    #[test]
    fn unknown_roles_are_refused() {
        let new_user = NewUser {
            email: "amina@example.com".into(),
            phone_number: "+212612345678".into(),
            password: "demo-Finitech-1".into(),
            display_name: "Amina".into(),
        };
        let registration = Registration::try_new(new_user, None, &["Customer", "customer"]);
        let invalid = registration.err().unwrap();
        assert_eq!(invalid.iter().map(|one| one.field).collect::<Vec<_>>(), ["roles"]);
    }
}
