//! The permissions that roles bundle. Each is asked for by the module it names.

use kernel::Permission;

/// See one's wallets and their movements.
pub const WALLET_READ: Permission = Permission("wallet:read");
/// Open wallets and move money out of one's own.
pub const WALLET_WRITE: Permission = Permission("wallet:write");
/// See every account and transaction of the ledger.
pub const LEDGER_READ: Permission = Permission("ledger:read");
/// Open ledger accounts and post to them.
pub const LEDGER_WRITE: Permission = Permission("ledger:write");
/// See other users' contact data.
pub const USERS_READ: Permission = Permission("users:read");
/// Lock other users and let them in again.
pub const USERS_WRITE: Permission = Permission("users:write");
/// Remove the second factors of somebody who lost them.
pub const FACTORS_RESET: Permission = Permission("factors:reset");
/// See who did what.
pub const AUDIT_READ: Permission = Permission("audit:read");

/// See which API clients there are.
pub const CLIENTS_READ: Permission = Permission("clients:read");
/// Make API clients and take them back.
pub const CLIENTS_WRITE: Permission = Permission("clients:write");

/// See which roles there are.
pub const ROLES_READ: Permission = Permission("roles:read");
/// Make roles, give them and take them.
pub const ROLES_WRITE: Permission = Permission("roles:write");
/// See what staff asked for.
pub const APPROVALS_READ: Permission = Permission("approvals:read");
/// Decide on what colleagues asked for.
pub const APPROVALS_WRITE: Permission = Permission("approvals:write");

/// Put card numbers into the vault, and look up tokens.
pub const CARDS_TOKENIZE: Permission = Permission("cards:tokenize");
/// Learn the card number of a token.
pub const CARDS_DETOKENIZE: Permission = Permission("cards:detokenize");
/// Delete card numbers.
pub const CARDS_DELETE: Permission = Permission("cards:delete");

/// All of them.
pub const ALL: &[Permission] = &[
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
    CARDS_DETOKENIZE,
    CARDS_DELETE,
];

/// What each permits, for people.
pub const DESCRIPTIONS: &[(Permission, &str)] = &[
    (WALLET_READ, "See one's own wallets and their movements"),
    (WALLET_WRITE, "Open wallets and move one's own money"),
    (LEDGER_READ, "See every account and transaction of the ledger"),
    (LEDGER_WRITE, "Open ledger accounts and post to them"),
    (USERS_READ, "See users, their contact data and their roles"),
    (USERS_WRITE, "Lock users, and ask to let them in again"),
    (FACTORS_RESET, "Ask to remove the second factors of somebody who lost them"),
    (AUDIT_READ, "See who did what"),
    (CLIENTS_READ, "See API clients"),
    (CLIENTS_WRITE, "Make API clients, give them secrets and take them back"),
    (ROLES_READ, "See roles and permissions"),
    (ROLES_WRITE, "Make roles, take them, and ask to give them"),
    (APPROVALS_READ, "See what colleagues asked for"),
    (APPROVALS_WRITE, "Approve or reject what colleagues asked for, where one may do it oneself"),
    (CARDS_TOKENIZE, "Put card numbers into the vault, and look up tokens"),
    (CARDS_DETOKENIZE, "Learn the card number of a token"),
    (CARDS_DELETE, "Delete card numbers"),
];

/// Those over what is one's own. All others are for staff.
pub const OF_CUSTOMERS: &[Permission] = &[WALLET_READ, WALLET_WRITE];

/// Those that can be the scope of an API client. It has no wallet, and decides neither over people
/// nor over what others may do; and no card number leaves the vault without a person who is there.
pub const FOR_CLIENTS: &[Permission] =
    &[LEDGER_READ, LEDGER_WRITE, USERS_READ, AUDIT_READ, CARDS_TOKENIZE];
