-- What transactions are found by, beside their id and their place in the journal. Most have neither a
-- reference nor metadata, and then no row here.
create index transactions_by_kind on transactions (kind, sequence);
create index transactions_by_reference on transactions (reference, sequence)
    where reference is not null;
create table transaction_metadata (
    name                 text not null,
    value                text not null,
    transaction_sequence {bigint} not null,
    primary key (name, value, transaction_sequence)
) {clustered};

-- Entries whose value date is not the instant of recording. `shifted_after` is the sum of the account's
-- shifted amounts up to this one, positive on the account's normal side, in the order of recording.
create table shifted_entries (
    account_sequence {bigint} not null,
    entry_key        {bigint} not null,
    effective_at     {bigint} not null,
    amount           {bigint} not null,
    shifted_after    {bigint} not null,
    primary key (account_sequence, entry_key)
) {clustered};
create index shifted_entries_by_value_date on shifted_entries (account_sequence, effective_at);
-- The same summed up by day of the value date (in UTC, counted from 1970-01-01).
create table shifted_days (
    account_sequence {bigint} not null,
    day              {bigint} not null,
    amount           {bigint} not null,
    primary key (account_sequence, day)
) {clustered};
insert into shifted_entries
    select account_sequence, entry_key, effective_at, amount,
           cast(sum(amount) over (partition by account_sequence order by entry_key) as {bigint})
    from (select e.account_sequence, e.entry_key, t.effective_at, -e.amount * s.normal_side as amount
          from transactions t
          join entries e on e.entry_key between t.sequence * 1024 and t.sequence * 1024 + 1023
          join account_states s on s.account_sequence = e.account_sequence
          where t.effective_at <> t.recorded_at) shifted;
insert into shifted_days
    select account_sequence, day, cast(sum(amount) as {bigint})
    from (select account_sequence, amount,
                 (effective_at - (effective_at % 86400000000 + 86400000000) % 86400000000)
                     / 86400000000 as day
          from shifted_entries) days
    group by account_sequence, day;
