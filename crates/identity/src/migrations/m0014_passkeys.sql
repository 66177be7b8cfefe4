-- Passkeys (WebAuthn credentials). A public key is public; the name is its owner's words, and sealed.
create table passkeys (
    id              {uuid} not null primary key,
    user_id         {uuid} not null,
    credential_id   {bytes} not null,
    -- A COSE key (RFC 9052), as the authenticator made it.
    public_key      {bytes} not null,
    -- What the authenticator last counted; 0 from one that does not count.
    signature_count {bigint} not null,
    sealed_name     text not null,
    created_at      {bigint} not null,
    last_used_at    {bigint},
    constraint passkeys_user foreign key (user_id) references users (id),
    constraint passkeys_credential_id_unique unique (credential_id)
) {table};
create index passkeys_by_user on passkeys (user_id);

-- Challenges that wait for their answer, each good for one. Only digests are kept. Whoever signs in
-- without a password is not known yet.
create table passkey_challenges (
    challenge_hash {bytes} not null primary key,
    purpose        text not null,
    user_id        {uuid},
    expires_at     {bigint} not null,
    constraint passkey_challenges_user foreign key (user_id) references users (id),
    constraint passkey_challenges_purpose_known
        check (purpose in ('registration', 'sign_in', 'confirmation')),
    constraint passkey_challenges_user_known check ((purpose = 'sign_in') = (user_id is null))
) {clustered};
create index passkey_challenges_by_end on passkey_challenges (expires_at);
