-- Why a user has the status they have, since when and by whom; null as long as they are as they
-- registered.
alter table users add column status_reason text;
alter table users add column status_changed_at {bigint};
alter table users add column status_changed_by {uuid};
alter table users add column last_log_in_at {bigint};

-- Wrong passwords since the last right one. The subject is a user's id or, for an e-mail address or
-- phone number that nobody has, made from its digest: strangers are counted as users are, so that
-- nobody learns from the counting who is registered.
create table log_in_failures (
    subject        {uuid} not null primary key,
    failures       {bigint} not null,
    last_failed_at {bigint} not null
) {clustered};
create index log_in_failures_by_time on log_in_failures (last_failed_at);

-- The one reset of each user's password that counts. Only the token's digest is kept; the row goes
-- when the token is used.
create table password_resets (
    user_id    {uuid} not null primary key,
    token_hash {bytes} not null,
    created_at {bigint} not null,
    expires_at {bigint} not null,
    constraint password_resets_user foreign key (user_id) references users (id),
    constraint password_resets_token_hash_unique unique (token_hash)
) {clustered};
