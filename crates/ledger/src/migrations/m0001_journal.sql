-- The journal: `accounts`, `account_changes`, `transactions` and `entries` are only ever added to (triggers
-- refuse anything else). Accounts, their changes and transactions share one sequence, 1, 2, 3, … in commit
-- order without gaps, which makes the journal its own outbox: every number is one event.
--
-- There are no foreign keys between these tables: one engine writes them, checking a key for every row of
-- the hottest path costs more than the row, and `finitech ledger verify` finds any reference that does
-- not hold.

create table accounts (
    sequence  {bigint} not null primary key,
    id        {uuid} not null,
    name      text not null,
    opened_at {bigint} not null,
    constraint accounts_id unique (id)
) {table};

-- What a posting reads and changes, apart from the rest so that many accounts fit on a page.
-- `normal_side` is 1 for credit and -1 for debit. `lowest_available` is null without a limit.
create table account_states (
    account_sequence {bigint} not null primary key,
    currency_code    text not null check (length(currency_code) = 3),
    normal_side      {bigint} not null check (normal_side in (1, -1)),
    status           text not null check (status in ('open', 'frozen', 'closed')),
    lowest_available {bigint} check (lowest_available <= 0),
    posted_debits    {bigint} not null default 0 check (posted_debits >= 0),
    posted_credits   {bigint} not null default 0 check (posted_credits >= 0),
    pending_debits   {bigint} not null default 0 check (pending_debits >= 0),
    pending_credits  {bigint} not null default 0 check (pending_credits >= 0),
    -- The engine refuses long before; this is the last line.
    constraint account_states_available check (
        lowest_available is null
        or normal_side * (posted_credits - posted_debits)
           - case normal_side when 1 then pending_debits else pending_credits end
           >= lowest_available
    )
) {table};

-- Freezing, unfreezing, closing: what an account's status became, and why.
create table account_changes (
    sequence         {bigint} not null primary key,
    account_sequence {bigint} not null,
    status           text not null check (status in ('open', 'frozen', 'closed')),
    reason           text not null,
    changed_at       {bigint} not null
) {table};

create table transactions (
    sequence     {bigint} not null primary key,
    id           {uuid} not null,
    kind         text not null,
    description  text,
    reference    text,
    -- A JSON object of strings, null when empty.
    metadata     text,
    -- The transaction that this one takes back, in whole or in part.
    reverses     {uuid},
    effective_at {bigint} not null,
    recorded_at  {bigint} not null,
    constraint transactions_id unique (id)
) {table};

-- What was taken back of a transaction; most rows are not in the index.
create index transactions_by_reversed on transactions (reverses) where reverses is not null;

-- `amount` is positive for a debit and negative for a credit, so that a transaction sums to zero per
-- currency. `balance_after` is the account's posted balance after the leg, positive on its normal side.
create table entries (
    transaction_sequence {bigint} not null,
    leg_no               {bigint} not null,
    account_sequence     {bigint} not null,
    amount               {bigint} not null check (amount <> 0),
    balance_after        {bigint} not null,
    primary key (transaction_sequence, leg_no)
) {clustered};
-- The history of an account. On SQLite the primary key follows by itself in the index.
create index entries_by_account on entries (account_sequence, transaction_sequence, leg_no);

-- One row: the end of the journal. Whoever writes locks it first.
create table journal_head (
    id               {bigint} not null primary key check (id = 1),
    last_sequence    {bigint} not null,
    last_recorded_at {bigint} not null
) {table};
insert into journal_head (id, last_sequence, last_recorded_at) values (1, 0, 0);
