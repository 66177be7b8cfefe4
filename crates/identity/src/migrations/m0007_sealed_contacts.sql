-- Contacts and names are sealed under data keys, each for its row. Looking somebody up, and being
-- unique, goes by a keyed digest (a blind index). Until the program has sealed a row that is there
-- already, which SQL cannot do, the row's indexes are null and its three columns in clear.
alter table users rename column email to sealed_email;
alter table users rename column phone_number to sealed_phone_number;
alter table users rename column display_name to sealed_display_name;
alter table users add column email_index {bytes};
alter table users add column phone_number_index {bytes};
create unique index users_email_index_unique on users (email_index);
create unique index users_phone_number_index_unique on users (phone_number_index);

-- The key of the blind indexes, sealed under a data key. It stays the same when data keys change.
create table index_keys (
    id         {uuid} not null primary key,
    sealed_key {bytes} not null,
    created_at {bigint} not null
) {clustered};

-- What the program did once to the data that it found, beyond what SQL can do.
create table data_migrations (
    name        text not null primary key,
    finished_at {bigint} not null
) {clustered};

-- Strangers were counted under plain digests of what they typed, which are soon guessed.
delete from log_in_failures where not exists
    (select 1 from users where users.id = log_in_failures.subject);
