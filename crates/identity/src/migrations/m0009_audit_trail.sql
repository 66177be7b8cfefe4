-- Who did what to whom, from where. Append-only, see below. Each hash covers the row and the hash before
-- it, so no row can be changed, removed, added or moved without all that follow it.
create table audit_events (
    sequence       {bigint} not null primary key,
    -- Never less than that of the row before, whatever clocks say.
    occurred_at    {bigint} not null,
    -- Null when nobody was signed in, or an operator did it on the command line.
    actor_id       {uuid},
    action         text not null,
    -- The user that it was done to, if it was one.
    object_id      {uuid},
    client_address text not null,
    user_agent     text not null,
    -- JSON. No secrets, and contacts only masked.
    details        text not null,
    hash           {bytes} not null
) {table};
create index audit_events_by_actor on audit_events (actor_id, sequence);
create index audit_events_by_action on audit_events (action, sequence);
create index audit_events_by_object on audit_events (object_id, sequence);
create index audit_events_by_time on audit_events (occurred_at, sequence);

-- One row, the end of the chain. Its lock makes the order of numbers the order of commits.
create table audit_head (
    id               {bigint} not null primary key check (id = 1),
    last_sequence    {bigint} not null,
    last_occurred_at {bigint} not null,
    last_hash        {bytes} not null
) {table};
