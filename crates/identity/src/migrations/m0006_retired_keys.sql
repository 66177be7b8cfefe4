-- Since when a key signs no more; its tokens count until their time is over.
alter table signing_keys add column retired_at {bigint};
