//! The built-in roles.

use crate::permissions::{
    ALL, APPROVALS_READ, APPROVALS_WRITE, AUDIT_READ, LEDGER_READ, USERS_READ, USERS_WRITE,
    WALLET_READ, WALLET_WRITE,
};
use kernel::Permission;

/// A role that every installation has.
pub(crate) struct BuiltInRole {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) permissions: &'static [Permission],
}

/// What everybody gets who signs up.
pub(crate) const CUSTOMER: &str = "Customer";

/// All of them. Staff roles hold no wallet permissions: staff who are customers too have both
/// roles.
pub(crate) const BUILT_IN: &[BuiltInRole] = &[
    BuiltInRole {
        name: CUSTOMER,
        description: "A person with wallets of their own.",
        permissions: &[WALLET_READ, WALLET_WRITE],
    },
    BuiltInRole {
        name: "Merchant",
        description: "A business that takes payments into its wallets.",
        permissions: &[WALLET_READ, WALLET_WRITE],
    },
    BuiltInRole { name: "Agent", description: "Serves customers at a counter.", permissions: &[] },
    BuiltInRole {
        name: "Support",
        description: "Helps customers; sees who they are, not their money.",
        permissions: &[USERS_READ],
    },
    BuiltInRole {
        name: "Compliance",
        description: "Watches over customers and what staff do.",
        permissions: &[USERS_READ, USERS_WRITE, AUDIT_READ, APPROVALS_READ, APPROVALS_WRITE],
    },
    BuiltInRole {
        name: "Auditor",
        description: "Reads the books and the audit trail.",
        permissions: &[LEDGER_READ, AUDIT_READ],
    },
    BuiltInRole { name: "Admin", description: "May do everything.", permissions: ALL },
];

/// Whether this is the name of a role.
pub(crate) fn is_built_in(name: &str) -> bool {
    BUILT_IN.iter().any(|role| role.name == name)
}

/// Every pair of role and permission that the tables should hold.
pub(crate) fn built_in_permissions() -> impl Iterator<Item = (&'static str, &'static str)> {
    BUILT_IN
        .iter()
        .flat_map(|role| role.permissions.iter().map(|permission| (role.name, permission.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permissions::DESCRIPTIONS;
    use std::collections::BTreeSet;

    #[test]
    fn staff_roles_never_touch_wallets() {
        for role in ["Agent", "Support", "Compliance", "Auditor"] {
            assert!(is_built_in(role));
            for (_, permission) in built_in_permissions().filter(|(name, _)| *name == role) {
                assert!(!permission.starts_with("wallet:"), "{role} holds {permission}");
            }
        }
    }

    #[test]
    fn the_admin_holds_what_anybody_holds() {
        let of_admin: BTreeSet<_> = built_in_permissions()
            .filter(|(role, _)| *role == "Admin")
            .map(|(_, permission)| permission)
            .collect();
        assert!(built_in_permissions().all(|(_, permission)| of_admin.contains(permission)));
        assert_eq!(of_admin.len(), ALL.len());
        let described: BTreeSet<_> =
            DESCRIPTIONS.iter().map(|(permission, _)| permission.0).collect();
        assert_eq!(described, of_admin);
    }
}
