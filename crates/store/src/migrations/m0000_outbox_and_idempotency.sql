-- Events that this module tells others, in commit order without gaps.
create table outbox (
    position     {bigint} not null primary key,
    event_type   text not null,
    aggregate_id {uuid} not null,
    occurred_at  {bigint} not null,
    payload      text not null
) {table};

-- One row: the last position handed out. Its lock makes the order of positions the order of commits.
create table outbox_head (
    id            {bigint} not null primary key check (id = 1),
    last_position {bigint} not null
) {table};
insert into outbox_head (id, last_position) values (1, 0);

-- How far each consumer has read, and which process is reading for it now.
create table outbox_cursors (
    consumer    text not null primary key,
    position    {bigint} not null,
    holder      {uuid} not null,
    lease_until {bigint} not null
) {table};

-- What each Idempotency-Key was used for. `operation_id` names the row of the module's own table that
-- holds the answer.
create table idempotency_records (
    subject_id   {uuid} not null,
    key          text not null,
    fingerprint  {bytes} not null,
    operation_id {uuid} not null,
    lease_until  {bigint} not null,
    completed_at {bigint},
    created_at   {bigint} not null,
    primary key (subject_id, key)
) {clustered};
create unique index idempotency_records_by_operation on idempotency_records (operation_id);
-- Unfinished work, for the sweeper; finished records are not in the index.
create index idempotency_records_unfinished on idempotency_records (lease_until)
    where completed_at is null;
