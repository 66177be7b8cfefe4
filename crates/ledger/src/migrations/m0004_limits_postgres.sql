create trigger limit_changes_refuse_change before update or delete on limit_changes
    for each row execute function refuse_change();
create trigger limit_changes_refuse_truncate before truncate on limit_changes
    for each statement execute function refuse_change();
