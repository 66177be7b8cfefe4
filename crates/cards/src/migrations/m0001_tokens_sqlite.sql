create trigger tokens_refuse_delete before delete on tokens
begin select raise(abort, 'a token stays, so that it never stands for another number'); end;
create trigger tokens_refuse_change before update of id, token on tokens
begin select raise(abort, 'a token never changes'); end;
-- `insert or replace` removes the row in its way without telling the trigger above.
create trigger tokens_refuse_replace before insert on tokens
when exists (select 1 from tokens where id = new.id)
begin select raise(abort, 'a token never changes'); end;
