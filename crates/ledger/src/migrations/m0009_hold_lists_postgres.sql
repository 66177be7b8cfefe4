create trigger hold_legs_refuse_change before update or delete on hold_legs
    for each row execute function refuse_change();
create trigger hold_legs_refuse_truncate before truncate on hold_legs
    for each statement execute function refuse_change();
