-- The entries of an account become a list: each names the one before it, and the account's state names
-- the last. An index by account would have to be written at a place of its own for every entry; the list
-- costs one number in a row that is written anyway. `entry_marks` is the way into the middle of a long
-- list: it has every 64th entry of an account.
--
-- `entry_key` is the number of the entry's transaction times 1,024, plus the place of the leg.
create table listed_entries (
    entry_key        {bigint} not null primary key,
    account_sequence {bigint} not null,
    amount           {bigint} not null check (amount <> 0),
    balance_after    {bigint} not null,
    previous         {bigint}
) {table};
insert into listed_entries
    select transaction_sequence * 1024 + leg_no, account_sequence, amount, balance_after,
           lag(transaction_sequence * 1024 + leg_no) over account
    from entries
    window account as (partition by account_sequence order by transaction_sequence, leg_no)
    order by 1;
drop table entries;
alter table listed_entries rename to entries;

create table entry_marks (
    account_sequence {bigint} not null,
    entry_key        {bigint} not null,
    primary key (account_sequence, entry_key)
) {clustered};
insert into entry_marks
    select account_sequence, entry_key
    from (select account_sequence, entry_key,
                 row_number() over (partition by account_sequence order by entry_key) as place
          from entries) numbered
    where place % 64 = 0;

alter table account_states add column last_entry {bigint};
alter table account_states add column entry_count {bigint} not null default 0;
update account_states set last_entry = listed.last_entry, entry_count = listed.entry_count
    from (select account_sequence, max(entry_key) as last_entry, count(*) as entry_count
          from entries group by account_sequence) listed
    where listed.account_sequence = account_states.account_sequence;

-- One row for each commit of the engine; all records up to `last_sequence` that no row before covers
-- were made at `recorded_at`. It leads from an instant to a place in the journal.
create table journal_groups (
    last_sequence {bigint} not null primary key,
    recorded_at   {bigint} not null
) {table};
create index journal_groups_by_time on journal_groups (recorded_at, last_sequence);
insert into journal_groups
    select max(sequence), recorded_at
    from (select sequence, recorded_at from transactions
          union all select sequence, opened_at from accounts
          union all select sequence, changed_at from account_changes) records
    group by recorded_at order by 1;
