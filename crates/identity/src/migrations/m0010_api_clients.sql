-- Programs of partners and services, which get access tokens for a secret (RFC 6749 section 4.4).
create table api_clients (
    id               {uuid} not null primary key,
    name             text not null,
    -- Permissions with spaces between them.
    scope            text not null,
    -- Networks (CIDR), likewise; empty when it may call from anywhere.
    allowed_networks text not null,
    created_at       {bigint} not null,
    created_by       {uuid} not null,
    -- Null when it has no end.
    expires_at       {bigint},
    rotated_at       {bigint},
    last_token_at    {bigint},
    revoked_at       {bigint},
    revoked_by       {uuid},
    revoked_reason   text
) {table};

-- The secrets of each client, of which only digests are kept. The newest has no end of its own; those
-- before it have one once it was made.
create table api_client_secrets (
    secret_hash {bytes} not null primary key,
    client_id   {uuid} not null,
    created_at  {bigint} not null,
    expires_at  {bigint},
    constraint api_client_secrets_client foreign key (client_id) references api_clients (id)
) {clustered};
create index api_client_secrets_by_client on api_client_secrets (client_id);

-- How often something was taken back of what a user or an API client may do. An access token bears the
-- version of its making; one with an older version counts no more.
create table grant_versions (
    subject_id {uuid} not null primary key,
    version    {bigint} not null,
    changed_at {bigint} not null
) {clustered};
-- Every process asks for recent changes each second.
create index grant_versions_by_time on grant_versions (changed_at);
