insert into audit_head (id, last_sequence, last_occurred_at, last_hash) values (1, 0, 0, zeroblob(32));
create trigger audit_events_refuse_update before update on audit_events
begin select raise(abort, 'audit_events is append-only'); end;
create trigger audit_events_refuse_delete before delete on audit_events
begin select raise(abort, 'audit_events is append-only'); end;
-- `insert or replace` removes the row in its way without telling the trigger above.
create trigger audit_events_refuse_replace before insert on audit_events
when exists (select 1 from audit_events where sequence = new.sequence)
begin select raise(abort, 'audit_events is append-only: this sequence is taken'); end;
create trigger audit_head_refuse_delete before delete on audit_head
begin select raise(abort, 'audit_head is never deleted'); end;
