-- The limits of an account as they are, a JSON document, null without any.
alter table account_states add column limits text;

-- What an account's limits became, and when; part of the journal.
create table limit_changes (
    sequence         {bigint} not null primary key,
    account_sequence {bigint} not null,
    limits           text not null,
    changed_at       {bigint} not null
) {table};

-- How much of a limit of a day or a month is used. `counter` names what is counted; there is one row for
-- the present period, which begins at `period_start`. `counts_from` is the number of the change from
-- which the limit counts: holds of before are not in it.
create table limit_usages (
    account_sequence {bigint} not null,
    counter          text not null,
    period_start     {bigint} not null,
    minor_units      {bigint} not null check (minor_units >= 0),
    uses             {bigint} not null check (uses >= 0),
    counts_from      {bigint} not null,
    primary key (account_sequence, counter)
) {clustered};
