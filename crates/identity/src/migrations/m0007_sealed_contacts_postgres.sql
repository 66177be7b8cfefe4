-- Of no use any more: two sealings of one text differ. (SQLite cannot drop constraints.)
alter table users drop constraint users_email_unique;
alter table users drop constraint users_phone_number_unique;
