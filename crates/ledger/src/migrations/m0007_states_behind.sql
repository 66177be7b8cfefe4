-- Rows of `account_states` may be written later than the entries that move them (ADR 15). All rows have the
-- entries of the records up to this number, and each those up to its own `last_entry`; null when every row has
-- all.
alter table journal_head add column states_through {bigint};
