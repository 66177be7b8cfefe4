-- `insert or replace` is refused by the triggers on delete, which fire for it where `recursive_triggers`
-- is on, as it is on every connection of ours. Triggers on insert said the same for every row of the
-- hottest path, at a cost.
drop trigger accounts_refuse_replace;
drop trigger account_changes_refuse_replace;
drop trigger transactions_refuse_replace;
create trigger entries_refuse_update before update on entries
begin select raise(abort, 'entries is append-only: post a correction instead'); end;
create trigger entries_refuse_delete before delete on entries
begin select raise(abort, 'entries is append-only: post a correction instead'); end;
create trigger entry_marks_refuse_update before update on entry_marks
begin select raise(abort, 'entry_marks is append-only'); end;
create trigger entry_marks_refuse_delete before delete on entry_marks
begin select raise(abort, 'entry_marks is append-only'); end;
create trigger journal_groups_refuse_update before update on journal_groups
begin select raise(abort, 'journal_groups is append-only'); end;
create trigger journal_groups_refuse_delete before delete on journal_groups
begin select raise(abort, 'journal_groups is append-only'); end;
