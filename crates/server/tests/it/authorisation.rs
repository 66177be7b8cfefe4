//! Every operation of the OpenAPI document is public on purpose or asks for what it should.

use crate::support::{Server, World};
use store::testing::TestDatabase;

/// What nobody needs to sign in for.
const PUBLIC: [&str; 18] = [
    "GET /.well-known/jwks.json",
    "GET /api/v1/ledger/checkpoints",
    "GET /api/v1/ledger/checkpoints/consistency",
    "GET /api/v1/ledger/checkpoints/keys",
    "GET /api/v1/ledger/checkpoints/latest",
    "GET /health/live",
    "GET /health/ready",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/login/mfa",
    "POST /api/v1/auth/login/mfa/challenge",
    "POST /api/v1/auth/login/passkey",
    "POST /api/v1/auth/login/passkey/challenge",
    "POST /api/v1/auth/password-resets",
    "POST /api/v1/auth/password-resets/complete",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/register",
    "POST /api/v1/oauth/token",
    "POST /api/v1/sms/twilio/status",
];

/// What each other operation asks for; empty for anyone who is signed in.
const PROTECTED: [(&str, &str); 87] = [
    ("GET /api/v1/admin/api-clients", "clients:read"),
    ("GET /api/v1/admin/api-clients/{id}", "clients:read"),
    ("GET /api/v1/admin/audit-events", "audit:read"),
    ("GET /api/v1/admin/permissions", "roles:read"),
    ("GET /api/v1/admin/roles", "roles:read"),
    ("GET /api/v1/admin/staff-actions", "approvals:read"),
    ("GET /api/v1/admin/staff-actions/{id}", "approvals:read"),
    ("GET /api/v1/admin/users/{id}", "users:read"),
    ("GET /api/v1/admin/users/{id}/roles", "users:read"),
    ("GET /api/v1/ledger/accounts/{id}", "ledger:read"),
    ("GET /api/v1/ledger/accounts/{id}/balance", "ledger:read"),
    ("GET /api/v1/ledger/accounts/{id}/entries", "ledger:read"),
    ("GET /api/v1/ledger/accounts/{id}/limits", "ledger:read"),
    ("GET /api/v1/ledger/accounts/{id}/statement", "ledger:read"),
    ("GET /api/v1/ledger/holds", "ledger:read"),
    ("GET /api/v1/ledger/holds/{id}", "ledger:read"),
    ("GET /api/v1/ledger/transactions", "ledger:read"),
    ("GET /api/v1/ledger/transactions/{id}", "ledger:read"),
    ("GET /api/v1/ledger/transactions/{id}/proof", "ledger:read"),
    ("GET /api/v1/ledger/trial-balance", "ledger:read"),
    ("GET /api/v1/me", ""),
    ("GET /api/v1/me/mfa", ""),
    ("GET /api/v1/me/passkeys", ""),
    ("GET /api/v1/me/sessions", ""),
    ("GET /api/v1/me/trusted-devices", ""),
    ("GET /api/v1/wallets", "wallet:read"),
    ("GET /api/v1/wallets/{id}", "wallet:read"),
    ("GET /api/v1/wallets/{id}/transactions", "wallet:read"),
    ("POST /api/v1/admin/api-clients", "clients:write"),
    ("POST /api/v1/admin/api-clients/{id}/revoke", "clients:write"),
    ("POST /api/v1/admin/api-clients/{id}/rotate-secret", "clients:write"),
    ("POST /api/v1/admin/roles", "roles:write"),
    ("POST /api/v1/admin/roles/{name}/add-permissions", "roles:write"),
    ("POST /api/v1/admin/roles/{name}/delete", "roles:write"),
    ("POST /api/v1/admin/roles/{name}/remove-permissions", "roles:write"),
    ("POST /api/v1/admin/staff-actions/{id}/approve", "approvals:write"),
    ("POST /api/v1/admin/staff-actions/{id}/reject", "approvals:write"),
    ("POST /api/v1/admin/users/search", "users:read"),
    ("POST /api/v1/admin/users/{id}/lock", "users:write"),
    ("POST /api/v1/admin/users/{id}/reset-second-factor", "factors:reset"),
    ("POST /api/v1/admin/users/{id}/roles", "roles:write"),
    ("POST /api/v1/admin/users/{id}/roles/{role}/take", "roles:write"),
    ("POST /api/v1/admin/users/{id}/unlock", "users:write"),
    ("POST /api/v1/auth/logout", ""),
    ("POST /api/v1/auth/reauthenticate", ""),
    ("POST /api/v1/cards/tokens", "cards:tokenize"),
    ("POST /api/v1/admin/cards/tokens/delete", "cards:delete"),
    ("POST /api/v1/admin/cards/tokens/detokenize", "cards:detokenize"),
    ("POST /api/v1/cards/tokens/search", "cards:tokenize"),
    ("POST /api/v1/ledger/accounts", "ledger:write"),
    ("POST /api/v1/ledger/accounts/{id}/close", "ledger:write"),
    ("POST /api/v1/ledger/accounts/{id}/freeze", "ledger:write"),
    ("POST /api/v1/ledger/accounts/{id}/unfreeze", "ledger:write"),
    ("POST /api/v1/ledger/holds", "ledger:write"),
    ("POST /api/v1/ledger/holds/{id}/capture", "ledger:write"),
    ("POST /api/v1/ledger/holds/{id}/void", "ledger:write"),
    ("POST /api/v1/ledger/transactions", "ledger:write"),
    ("POST /api/v1/ledger/transactions/bulk", "ledger:write"),
    ("POST /api/v1/ledger/transactions/stream", "ledger:write"),
    ("POST /api/v1/ledger/transactions/{id}/reversals", "ledger:write"),
    ("POST /api/v1/me/close", ""),
    ("POST /api/v1/me/email/change", ""),
    ("POST /api/v1/me/email/change/confirm", ""),
    ("POST /api/v1/me/email/verification", ""),
    ("POST /api/v1/me/email/verification/confirm", ""),
    ("POST /api/v1/me/mfa/disable", ""),
    ("POST /api/v1/me/mfa/recovery-codes", ""),
    ("POST /api/v1/me/mfa/totp", ""),
    ("POST /api/v1/me/mfa/totp/confirm", ""),
    ("POST /api/v1/me/passkeys", ""),
    ("POST /api/v1/me/passkeys/challenge", ""),
    ("POST /api/v1/me/passkeys/registration", ""),
    ("POST /api/v1/me/passkeys/{id}/remove", ""),
    ("POST /api/v1/me/password", ""),
    ("POST /api/v1/me/phone/change", ""),
    ("POST /api/v1/me/phone/change/confirm", ""),
    ("POST /api/v1/me/phone/verification", ""),
    ("POST /api/v1/me/phone/verification/confirm", ""),
    ("POST /api/v1/me/sessions/end-others", ""),
    ("POST /api/v1/me/sessions/{id}/end", ""),
    ("POST /api/v1/me/trusted-devices/{id}/forget", ""),
    ("POST /api/v1/wallets", "wallet:write"),
    ("POST /api/v1/wallets/{id}/top-ups", "wallet:write"),
    ("POST /api/v1/wallets/{id}/transfers", "wallet:write"),
    ("PUT /api/v1/admin/api-clients/{id}/allowed-networks", "clients:write"),
    ("PUT /api/v1/ledger/accounts/{id}/limits", "ledger:write"),
    ("PUT /api/v1/me/passkeys/{id}/name", ""),
];

#[tokio::test]
async fn every_operation_is_in_the_authorisation_table() {
    let world = World::new(TestDatabase::sqlite());
    let server = Server::start(world.command(&["--no-demo"])).await;
    let document = server.client.get("/openapi.json").await.expect(200);
    let mut found: Vec<(String, Option<String>)> = web::openapi::operations(&document)
        .into_iter()
        .map(|(method, path, operation)| {
            let permissions: Vec<_> = web::openapi::required_permissions(operation).collect();
            let asks = operation.get("security").map(|_| permissions.join(" "));
            (format!("{method} {path}"), asks)
        })
        .collect();
    found.sort();
    let mut expected: Vec<(String, Option<String>)> = PUBLIC
        .iter()
        .map(|operation| ((*operation).to_owned(), None))
        .chain(PROTECTED.iter().map(|(one, asks)| ((*one).to_owned(), Some((*asks).to_owned()))))
        .collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn the_permissions_that_routes_ask_for_can_be_granted() {
    let granted: Vec<_> = identity::permissions::ALL.iter().map(|one| one.0).collect();
    for (operation, permission) in PROTECTED {
        assert!(permission.is_empty() || granted.contains(&permission), "{operation}");
    }
}
