-- Second factors. The secret is sealed under a data key and the user's id; codes of a step that was
-- used once count no more. A factor that is not confirmed is not asked for.
create table user_totp (
    user_id        {uuid} not null primary key,
    sealed_secret  {bytes} not null,
    created_at     {bigint} not null,
    confirmed_at   {bigint},
    last_used_step {bigint} not null,
    constraint user_totp_user foreign key (user_id) references users (id)
) {clustered};

-- One-time codes for whoever lost the device; only Argon2id hashes are kept. The row goes when the
-- code is used.
create table recovery_codes (
    user_id   {uuid} not null,
    position  {bigint} not null,
    code_hash text not null,
    primary key (user_id, position),
    constraint recovery_codes_user foreign key (user_id) references users (id)
) {clustered};

-- Sign-ins that wait for the second factor. Only the token's digest is kept.
create table log_in_challenges (
    token_hash          {bytes} not null primary key,
    user_id             {uuid} not null,
    -- The password that was shown; another one since then ends the sign-in.
    password_changed_at {bigint} not null,
    expires_at          {bigint} not null,
    constraint log_in_challenges_user foreign key (user_id) references users (id)
) {clustered};
create index log_in_challenges_by_user on log_in_challenges (user_id);

-- The names of the data keys that something here is sealed with; the keys are in files.
create table data_keys (
    name          text not null primary key,
    first_used_at {bigint} not null
) {clustered};
