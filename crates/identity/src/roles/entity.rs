//! The built-in roles.

use crate::permissions::{
    APPROVALS_READ, APPROVALS_WRITE, AUDIT_READ, CARDS_DELETE, CARDS_DETOKENIZE, CARDS_TOKENIZE,
    CLIENTS_READ, CLIENTS_WRITE, FACTORS_RESET, LEDGER_READ, LEDGER_WRITE, ROLES_READ, ROLES_WRITE,
    USERS_READ, USERS_WRITE, WALLET_READ, WALLET_WRITE,
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
        permissions: &[USERS_READ, FACTORS_RESET],
    },
    BuiltInRole {
        name: "Compliance",
        description: "Watches over customers and what staff do.",
        permissions: &[
            USERS_READ,
            USERS_WRITE,
            FACTORS_RESET,
            AUDIT_READ,
            APPROVALS_READ,
            APPROVALS_WRITE,
        ],
    },
    BuiltInRole {
        name: "Auditor",
        description: "Reads the books and the audit trail.",
        permissions: &[LEDGER_READ, AUDIT_READ],
    },
    BuiltInRole {
        name: "Admin",
        description: "May do everything but learn card numbers.",
        permissions: ADMIN,
    },
    BuiltInRole {
        name: "CardOfficer",
        description: "Learns card numbers; an operator gives it on the command line.",
        permissions: &[CARDS_DETOKENIZE],
    },
];

/// Everything but to learn card numbers. Nobody gives a role whose permissions they do not hold, so no
/// administrator makes a card officer of themselves or of anybody: that takes the operator.
const ADMIN: &[Permission] = &[
    WALLET_READ,
    WALLET_WRITE,
    LEDGER_READ,
    LEDGER_WRITE,
    USERS_READ,
    USERS_WRITE,
    FACTORS_RESET,
    AUDIT_READ,
    CLIENTS_READ,
    CLIENTS_WRITE,
    ROLES_READ,
    ROLES_WRITE,
    APPROVALS_READ,
    APPROVALS_WRITE,
    CARDS_TOKENIZE,
    CARDS_DELETE,
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
    use crate::permissions::{ALL, DESCRIPTIONS};
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
    fn the_admin_holds_everything_but_the_way_to_card_numbers() {
        let of = |name: &str| -> BTreeSet<_> {
            let held = built_in_permissions().filter(|(role, _)| *role == name);
            held.map(|(_, permission)| permission).collect()
        };
        let all: BTreeSet<_> = ALL.iter().map(|permission| permission.0).collect();
        let mut expected = all.clone();
        assert!(expected.remove(CARDS_DETOKENIZE.0));
        assert_eq!(of("Admin"), expected);
        let holders = BUILT_IN.iter().filter(|role| of(role.name).contains(CARDS_DETOKENIZE.0));
        assert_eq!(holders.map(|role| role.name).collect::<Vec<_>>(), ["CardOfficer"]);
        let described: BTreeSet<_> =
            DESCRIPTIONS.iter().map(|(permission, _)| permission.0).collect();
        assert_eq!(described, all);
    }
}
