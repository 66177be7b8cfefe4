-- Card numbers, sealed, and what stands for them. A row stays when its number is deleted, so that the
-- token is never given to another number.
create table tokens (
    id            {uuid} not null primary key,
    token         text not null check (length(token) between 12 and 19),
    -- Token and number together, sealed for this row.
    sealed_number {bytes},
    -- A keyed digest of the number, by which it is found again.
    number_index  {bytes},
    created_at    {bigint} not null,
    created_by    {uuid} not null,
    deleted_at    {bigint},
    constraint tokens_token_unique unique (token),
    constraint tokens_number_index_unique unique (number_index),
    constraint tokens_number_until_deleted check
        ((sealed_number is null) = (deleted_at is not null)
            and (number_index is null) = (deleted_at is not null))
) {table};

-- The names of the data keys that something here is sealed with; the keys are elsewhere.
create table data_keys (
    name          text not null primary key,
    first_used_at {bigint} not null
) {clustered};

-- The key of the blind indexes, sealed under a data key. It stays the same when data keys change.
create table index_keys (
    id         {uuid} not null primary key,
    sealed_key {bytes} not null,
    created_at {bigint} not null
) {clustered};
