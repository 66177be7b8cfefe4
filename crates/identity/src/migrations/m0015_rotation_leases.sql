-- Until when a process has the right to make the key that follows this one.
alter table signing_keys add column rotating_until {bigint};
