-- Money set aside. `holds`, `hold_legs` and `hold_changes` belong to the journal and are only ever added
-- to; a hold and each change of it take a number of the journal's sequence.
create table holds (
    sequence    {bigint} not null primary key,
    id          {uuid} not null,
    kind        text not null,
    description text,
    reference   text,
    -- A JSON object of strings, null when empty.
    metadata    text,
    -- How much more than the hold its captures may take together, in minor units of the first leg.
    tolerance   {bigint} not null check (tolerance >= 0),
    expires_at  {bigint},
    created_at  {bigint} not null,
    constraint holds_id unique (id)
) {table};

-- `amount` is positive for a debit, as in `entries`.
create table hold_legs (
    hold_sequence    {bigint} not null,
    leg_no           {bigint} not null,
    account_sequence {bigint} not null,
    amount           {bigint} not null check (amount <> 0),
    primary key (hold_sequence, leg_no)
) {clustered};
create index hold_legs_by_account on hold_legs (account_sequence, hold_sequence);

-- Where a hold stands. `captured` is in minor units of the first leg. `ended_by` is the journal's number
-- of the transaction or change that ended it.
create table hold_states (
    hold_sequence {bigint} not null primary key,
    status        text not null check (status in ('pending', 'captured', 'voided', 'expired')),
    captured      {bigint} not null check (captured >= 0),
    ended_by      {bigint},
    expires_at    {bigint},
    constraint hold_states_end check ((status = 'pending') = (ended_by is null))
) {table};
create index hold_states_by_expiry on hold_states (expires_at, hold_sequence)
    where status = 'pending' and expires_at is not null;

-- The end of a hold other than by a capture.
create table hold_changes (
    sequence      {bigint} not null primary key,
    hold_sequence {bigint} not null,
    status        text not null check (status in ('voided', 'expired')),
    reason        text,
    changed_at    {bigint} not null
) {table};

-- The hold that a transaction captures, in whole or in part.
alter table transactions add column captures {uuid};
create index transactions_by_captured on transactions (captures) where captures is not null;
