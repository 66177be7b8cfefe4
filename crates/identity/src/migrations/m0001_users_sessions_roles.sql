-- Who can sign in. E-mail addresses are in lower case and phone numbers in E.164, so that being
-- unique means what people mean by it.
create table users (
    id                  {uuid} not null primary key,
    email               text not null,
    phone_number        text not null,
    display_name        text not null,
    password_hash       text not null,
    status              text not null,
    created_at          {bigint} not null,
    password_changed_at {bigint} not null,
    constraint users_email_unique unique (email),
    constraint users_phone_number_unique unique (phone_number),
    constraint users_status_known check (status in ('active', 'locked', 'closed'))
) {table};

-- A sign-in on one device. It lives as long as its refresh tokens follow each other, until it is
-- revoked.
create table user_sessions (
    id           {uuid} not null primary key,
    user_id      {uuid} not null,
    user_agent   text not null,
    ip_address   text not null,
    created_at   {bigint} not null,
    last_used_at {bigint} not null,
    expires_at   {bigint} not null,
    revoked_at   {bigint},
    constraint user_sessions_user foreign key (user_id) references users (id)
) {table};
create index user_sessions_by_user on user_sessions (user_id);
-- Every process asks for recent revocations each second; sessions that were not revoked are not in
-- the index.
create index user_sessions_revoked on user_sessions (revoked_at) where revoked_at is not null;

-- The chain of one-time tokens of each session. Only digests are kept.
create table refresh_tokens (
    id         {uuid} not null primary key,
    session_id {uuid} not null,
    token_hash {bytes} not null,
    created_at {bigint} not null,
    expires_at {bigint} not null,
    used_at    {bigint},
    constraint refresh_tokens_session foreign key (session_id) references user_sessions (id),
    constraint refresh_tokens_token_hash_unique unique (token_hash)
) {table};
create index refresh_tokens_by_session on refresh_tokens (session_id);

create table roles (
    name        text not null primary key,
    description text not null
) {clustered};

create table role_permissions (
    role       text not null,
    permission text not null,
    primary key (role, permission),
    constraint role_permissions_role foreign key (role) references roles (name)
) {clustered};

create table user_roles (
    user_id    {uuid} not null,
    role       text not null,
    granted_at {bigint} not null,
    primary key (user_id, role),
    constraint user_roles_user foreign key (user_id) references users (id),
    constraint user_roles_role foreign key (role) references roles (name)
) {clustered};

-- Public keys of every process that signs access tokens on this database (modulus and exponent in
-- base64url); the private halves are in each process's own folder.
create table signing_keys (
    kid        text not null primary key,
    n          text not null,
    e          text not null,
    created_at {bigint} not null
) {clustered};
