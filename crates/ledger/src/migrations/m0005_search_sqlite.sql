insert into transaction_metadata
    select member.key, member.value, t.sequence from transactions t, json_each(t.metadata) member
    where t.metadata is not null and length(member.key) <= 64 and length(member.value) <= 500
        and instr(member.key, char(0)) = 0 and instr(member.value, char(0)) = 0;
create trigger transaction_metadata_refuse_update before update on transaction_metadata
begin select raise(abort, 'transaction_metadata is append-only'); end;
create trigger transaction_metadata_refuse_delete before delete on transaction_metadata
begin select raise(abort, 'transaction_metadata is append-only'); end;
create trigger shifted_entries_refuse_update before update on shifted_entries
begin select raise(abort, 'shifted_entries is append-only'); end;
create trigger shifted_entries_refuse_delete before delete on shifted_entries
begin select raise(abort, 'shifted_entries is append-only'); end;
