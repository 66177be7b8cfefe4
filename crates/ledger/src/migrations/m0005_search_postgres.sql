insert into transaction_metadata
    select member.key, member.value, t.sequence
    from transactions t, jsonb_each_text(t.metadata::jsonb) member
    where t.metadata is not null;
create trigger transaction_metadata_refuse_change before update or delete on transaction_metadata
    for each row execute function refuse_change();
create trigger transaction_metadata_refuse_truncate before truncate on transaction_metadata
    for each statement execute function refuse_change();
create trigger shifted_entries_refuse_change before update or delete on shifted_entries
    for each row execute function refuse_change();
create trigger shifted_entries_refuse_truncate before truncate on shifted_entries
    for each statement execute function refuse_change();
