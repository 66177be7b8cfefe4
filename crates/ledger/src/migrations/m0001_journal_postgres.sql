create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: post a correction instead', tg_table_name;
end
$$;
create trigger accounts_refuse_change before update or delete on accounts
    for each row execute function refuse_change();
create trigger accounts_refuse_truncate before truncate on accounts
    for each statement execute function refuse_change();
create trigger account_changes_refuse_change before update or delete on account_changes
    for each row execute function refuse_change();
create trigger account_changes_refuse_truncate before truncate on account_changes
    for each statement execute function refuse_change();
create trigger transactions_refuse_change before update or delete on transactions
    for each row execute function refuse_change();
create trigger transactions_refuse_truncate before truncate on transactions
    for each statement execute function refuse_change();
create trigger entries_refuse_change before update or delete on entries
    for each row execute function refuse_change();
create trigger entries_refuse_truncate before truncate on entries
    for each statement execute function refuse_change();
-- The counters are updated in place for as long as a page has room.
alter table account_states set (fillfactor = 70);
