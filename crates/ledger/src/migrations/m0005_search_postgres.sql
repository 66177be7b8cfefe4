-- No text of this store holds U+0000: metadata with it is kept, but not found.
insert into transaction_metadata
    select member.key, member.value, t.sequence
    from (select sequence, metadata from transactions
          where metadata is not null and metadata !~ '(^|[^\\])(\\\\)*\\u0000' offset 0) t,
         jsonb_each_text(t.metadata::jsonb) member
    where length(member.key) <= 64 and length(member.value) <= 500;
create trigger transaction_metadata_refuse_change before update or delete on transaction_metadata
    for each row execute function refuse_change();
create trigger transaction_metadata_refuse_truncate before truncate on transaction_metadata
    for each statement execute function refuse_change();
create trigger shifted_entries_refuse_change before update or delete on shifted_entries
    for each row execute function refuse_change();
create trigger shifted_entries_refuse_truncate before truncate on shifted_entries
    for each statement execute function refuse_change();
