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
/// See who did what.
pub const AUDIT_READ: Permission = Permission("audit:read");

/// All of them, as the role Admin holds.
pub const ALL: &[Permission] =
    &[WALLET_READ, WALLET_WRITE, LEDGER_READ, LEDGER_WRITE, USERS_READ, USERS_WRITE, AUDIT_READ];
