create trigger accounts_refuse_update before update on accounts
begin select raise(abort, 'accounts is append-only: post a correction instead'); end;
create trigger accounts_refuse_delete before delete on accounts
begin select raise(abort, 'accounts is append-only: post a correction instead'); end;
create trigger account_changes_refuse_update before update on account_changes
begin select raise(abort, 'account_changes is append-only: change the account again'); end;
create trigger account_changes_refuse_delete before delete on account_changes
begin select raise(abort, 'account_changes is append-only: change the account again'); end;
create trigger transactions_refuse_update before update on transactions
begin select raise(abort, 'transactions is append-only: post a correction instead'); end;
create trigger transactions_refuse_delete before delete on transactions
begin select raise(abort, 'transactions is append-only: post a correction instead'); end;
create trigger entries_refuse_update before update on entries
begin select raise(abort, 'entries is append-only: post a correction instead'); end;
create trigger entries_refuse_delete before delete on entries
begin select raise(abort, 'entries is append-only: post a correction instead'); end;
-- `insert or replace` removes the row in its way without telling the triggers above. Whoever writes moves
-- the head last, so a number up to the head is taken.
create trigger accounts_refuse_replace before insert on accounts
when new.sequence <= (select last_sequence from journal_head)
    or exists (select 1 from accounts where id = new.id)
begin select raise(abort, 'accounts is append-only: this sequence or id is taken'); end;
create trigger account_changes_refuse_replace before insert on account_changes
when new.sequence <= (select last_sequence from journal_head)
begin select raise(abort, 'account_changes is append-only: this sequence is taken'); end;
create trigger transactions_refuse_replace before insert on transactions
when new.sequence <= (select last_sequence from journal_head)
    or exists (select 1 from transactions where id = new.id)
begin select raise(abort, 'transactions is append-only: this sequence or id is taken'); end;
create trigger entries_refuse_replace before insert on entries
when new.transaction_sequence <= (select last_sequence from journal_head)
begin select raise(abort, 'entries is append-only: this sequence is taken'); end;
