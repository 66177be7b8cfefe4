-- Since when it is known that a contact is the user's; null as long as it is not.
alter table users add column email_verified_at {bigint};
alter table users add column phone_verified_at {bigint};

-- The one code of each contact that counts. Only its Argon2id hash is kept, because six digits are
-- soon guessed from a plain digest.
create table contact_codes (
    user_id         {uuid} not null,
    contact         text not null,
    code_hash       text not null,
    attempts_left   {bigint} not null,
    sent_at         {bigint} not null,
    expires_at      {bigint} not null,
    -- How many were sent since then.
    window_began_at {bigint} not null,
    sent_in_window  {bigint} not null,
    primary key (user_id, contact),
    constraint contact_codes_user foreign key (user_id) references users (id),
    constraint contact_codes_contact_known check (contact in ('email', 'phone'))
) {clustered};
