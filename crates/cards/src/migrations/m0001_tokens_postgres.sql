create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'a token stays, and never changes';
end
$$;
create trigger tokens_refuse_delete before delete on tokens
    for each row execute function refuse_change();
create trigger tokens_refuse_change before update of id, token on tokens
    for each row execute function refuse_change();
create trigger tokens_refuse_truncate before truncate on tokens
    for each statement execute function refuse_change();
