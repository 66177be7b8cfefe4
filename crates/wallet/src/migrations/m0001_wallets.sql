create table wallets (
    id         {uuid} not null primary key,
    owner_id   {uuid} not null,
    status     text not null check (status in ('active', 'frozen', 'closed')),
    created_at {bigint} not null
) {table};
create index wallets_by_owner on wallets (owner_id, id);

-- The ledger account that holds a wallet's money in one currency.
create table wallet_accounts (
    wallet_id         {uuid} not null references wallets (id),
    currency_code     text not null check (length(currency_code) = 3),
    -- The order in which the owner named the currencies.
    position          {bigint} not null,
    ledger_account_id {uuid} not null,
    primary key (wallet_id, currency_code),
    constraint wallet_accounts_ledger_account unique (ledger_account_id)
) {clustered};

-- What was asked of a wallet, and what came of it.
create table operations (
    id                     {uuid} not null primary key,
    kind                   text not null check (kind in ('top_up', 'transfer')),
    wallet_id              {uuid} not null references wallets (id),
    recipient_wallet_id    {uuid} references wallets (id),
    amount_minor_units     {bigint} not null check (amount_minor_units > 0),
    currency_code          text not null check (length(currency_code) = 3),
    note                   text,
    payment_method         text,
    status                 text not null check (status in ('pending', 'completed', 'rejected')),
    -- Why it was rejected, as JSON.
    refusal                text,
    ledger_transaction_id  {uuid} not null,
    created_at             {bigint} not null,
    settled_at             {bigint},
    check ((kind = 'transfer') = (recipient_wallet_id is not null)),
    check ((kind = 'top_up') = (payment_method is not null)),
    check ((status = 'rejected') = (refusal is not null)),
    check ((status = 'pending') = (settled_at is null)),
    constraint operations_ledger_transaction unique (ledger_transaction_id)
) {table};

-- The history of each wallet: completed operations only, a transfer on both sides.
create table wallet_transactions (
    wallet_id    {uuid} not null references wallets (id),
    operation_id {uuid} not null references operations (id),
    direction    text not null check (direction in ('in', 'out')),
    primary key (wallet_id, operation_id)
) {clustered};
