create trigger limit_changes_refuse_update before update on limit_changes
begin select raise(abort, 'limit_changes is append-only'); end;
create trigger limit_changes_refuse_delete before delete on limit_changes
begin select raise(abort, 'limit_changes is append-only'); end;
