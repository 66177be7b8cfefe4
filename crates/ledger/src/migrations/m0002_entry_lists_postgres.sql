create trigger entries_refuse_change before update or delete on entries
    for each row execute function refuse_change();
create trigger entries_refuse_truncate before truncate on entries
    for each statement execute function refuse_change();
create trigger entry_marks_refuse_change before update or delete on entry_marks
    for each row execute function refuse_change();
create trigger entry_marks_refuse_truncate before truncate on entry_marks
    for each statement execute function refuse_change();
create trigger journal_groups_refuse_change before update or delete on journal_groups
    for each row execute function refuse_change();
create trigger journal_groups_refuse_truncate before truncate on journal_groups
    for each statement execute function refuse_change();
