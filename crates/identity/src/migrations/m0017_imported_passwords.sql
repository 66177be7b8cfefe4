-- Whether there is a user who came from another system and has not signed in yet is looked up at
-- each sign-in: while there is one, every refusal takes the work of both kinds of hash. The text
-- has to be that of the query, or it does not use the index.
create index users_with_imported_passwords on users (id)
    where substr(password_hash, 1, 15) = '$pbkdf2-sha256$';
