insert into audit_head (id, last_sequence, last_occurred_at, last_hash)
    values (1, 0, 0, decode(repeat('00', 32), 'hex'));
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name;
end
$$;
create trigger audit_events_refuse_change before update or delete on audit_events
    for each row execute function refuse_change();
create trigger audit_events_refuse_truncate before truncate on audit_events
    for each statement execute function refuse_change();
create trigger audit_head_refuse_delete before delete on audit_head
    for each row execute function refuse_change();
create trigger audit_head_refuse_truncate before truncate on audit_head
    for each statement execute function refuse_change();
