-- A code may also show that another address or number is the user's, which then takes the place of the
-- present one. It is sealed like that one; both columns are null for a code that was sent to the present
-- one.
alter table contact_codes add column sealed_new_email text;
alter table contact_codes add column sealed_new_phone_number text;
