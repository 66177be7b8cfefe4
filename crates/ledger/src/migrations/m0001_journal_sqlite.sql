create trigger accounts_refuse_update before update on accounts
begin select raise(abort, 'accounts is append-only: post a correction instead'); end;
create trigger accounts_refuse_delete before delete on accounts
begin select raise(abort, 'accounts is append-only: post a correction instead'); end;
create trigger transactions_refuse_update before update on transactions
begin select raise(abort, 'transactions is append-only: post a correction instead'); end;
create trigger transactions_refuse_delete before delete on transactions
begin select raise(abort, 'transactions is append-only: post a correction instead'); end;
create trigger entries_refuse_update before update on entries
begin select raise(abort, 'entries is append-only: post a correction instead'); end;
create trigger entries_refuse_delete before delete on entries
begin select raise(abort, 'entries is append-only: post a correction instead'); end;
