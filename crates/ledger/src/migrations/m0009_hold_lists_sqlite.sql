create trigger hold_legs_refuse_update before update on hold_legs
begin select raise(abort, 'hold_legs is append-only'); end;
create trigger hold_legs_refuse_delete before delete on hold_legs
begin select raise(abort, 'hold_legs is append-only'); end;
-- Rows of accounts may be behind their holds as well (ADR 16): what is set aside is then added up from all
-- pending holds, so the index leads to all of them, also to those that never expire. And for a check
-- `in (…)` with more than two words a table is made for each statement, so it is said with `or`.
create table other_hold_states (
    hold_sequence integer not null primary key,
    status        text not null check (status = 'pending' or status = 'captured' or status = 'voided'
                                       or status = 'expired'),
    captured      integer not null check (captured >= 0),
    ended_by      integer,
    expires_at    integer,
    constraint hold_states_end check ((status = 'pending') = (ended_by is null))
) strict;
insert into other_hold_states
    select hold_sequence, status, captured, ended_by, expires_at from hold_states order by hold_sequence;
drop table hold_states;
alter table other_hold_states rename to hold_states;
create index hold_states_pending on hold_states (expires_at, hold_sequence) where status = 'pending';
