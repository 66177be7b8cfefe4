-- What staff asked for that needs a colleague's consent. The effect is in the same transaction as the
-- change to approved, so it comes once or not at all.
create table staff_actions (
    id              {uuid} not null primary key,
    kind            text not null,
    -- What the kind needs to know, as JSON, and its SHA-256.
    body            text not null,
    body_hash       {bytes} not null,
    reason          text not null,
    requested_by    {uuid} not null,
    requested_at    {bigint} not null,
    expires_at      {bigint} not null,
    state           text not null,
    decided_by      {uuid},
    decided_at      {bigint},
    decision_reason text,
    constraint staff_actions_state_known
        check (state in ('pending', 'approved', 'rejected', 'expired')),
    constraint staff_actions_two_people
        check (decided_by is null or state = 'rejected' or decided_by <> requested_by)
) {table};
-- The same thing is asked for once at a time.
create unique index staff_actions_pending on staff_actions (kind, body_hash)
    where state = 'pending';
create index staff_actions_by_state on staff_actions (state, id);
