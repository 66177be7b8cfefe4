create trigger holds_refuse_change before update or delete on holds
    for each row execute function refuse_change();
create trigger holds_refuse_truncate before truncate on holds
    for each statement execute function refuse_change();
create trigger hold_legs_refuse_change before update or delete on hold_legs
    for each row execute function refuse_change();
create trigger hold_legs_refuse_truncate before truncate on hold_legs
    for each statement execute function refuse_change();
create trigger hold_changes_refuse_change before update or delete on hold_changes
    for each row execute function refuse_change();
create trigger hold_changes_refuse_truncate before truncate on hold_changes
    for each statement execute function refuse_change();
