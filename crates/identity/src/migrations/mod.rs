//! How the tables of identity came to be. What has landed is never edited.

use store::SqlMigration;

/// The schema of identity's store.
pub const MIGRATIONS: &[SqlMigration] = &[
    SqlMigration {
        name: "m0001_users_sessions_roles",
        sql: include_str!("m0001_users_sessions_roles.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0002_accounts",
        sql: include_str!("m0002_accounts.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0003_verification",
        sql: include_str!("m0003_verification.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0004_devices",
        sql: include_str!("m0004_devices.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0005_mfa",
        sql: include_str!("m0005_mfa.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0006_retired_keys",
        sql: include_str!("m0006_retired_keys.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0007_sealed_contacts",
        sql: include_str!("m0007_sealed_contacts.sql"),
        sqlite: "",
        postgres: include_str!("m0007_sealed_contacts_postgres.sql"),
    },
    SqlMigration {
        name: "m0008_contact_changes",
        sql: include_str!("m0008_contact_changes.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0009_audit_trail",
        sql: include_str!("m0009_audit_trail.sql"),
        sqlite: include_str!("m0009_audit_trail_sqlite.sql"),
        postgres: include_str!("m0009_audit_trail_postgres.sql"),
    },
    SqlMigration {
        name: "m0010_api_clients",
        sql: include_str!("m0010_api_clients.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0011_permissions",
        sql: include_str!("m0011_permissions.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0012_staff_actions",
        sql: include_str!("m0012_staff_actions.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0013_step_up",
        sql: include_str!("m0013_step_up.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0014_passkeys",
        sql: include_str!("m0014_passkeys.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0015_rotation_leases",
        sql: include_str!("m0015_rotation_leases.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0016_role_names",
        sql: include_str!("m0016_role_names.sql"),
        sqlite: "",
        postgres: "",
    },
    SqlMigration {
        name: "m0017_imported_passwords",
        sql: include_str!("m0017_imported_passwords.sql"),
        sqlite: "",
        postgres: "",
    },
];
