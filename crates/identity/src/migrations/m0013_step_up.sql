-- When the user last showed who they are with all their factors, and with which; null when the session
-- began on a trusted device, without the second one.
alter table user_sessions add column authenticated_at {bigint};
alter table user_sessions add column factors text;

-- Devices that a user trusts not to be asked for the second factor. Only digests of their tokens are
-- kept. A row goes when the user forgets the device, or with the password.
create table trusted_devices (
    id           {uuid} not null primary key,
    user_id      {uuid} not null,
    token_hash   {bytes} not null,
    user_agent   text not null,
    created_at   {bigint} not null,
    last_used_at {bigint} not null,
    expires_at   {bigint} not null,
    constraint trusted_devices_user foreign key (user_id) references users (id),
    constraint trusted_devices_token_hash_unique unique (token_hash)
) {table};
create index trusted_devices_by_user on trusted_devices (user_id);
