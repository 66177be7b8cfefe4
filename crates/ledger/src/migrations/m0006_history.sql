-- The history: a Merkle tree over the records of the journal (RFC 9162 section 2.1) and a chain over its
-- groups. docs/LEDGER-PROOFS.md says what is hashed.
--
-- The head knows the tree by its peaks, the roots (32 bytes each) of the whole subtrees that it consists
-- of, and the newest link of the chain; null while there are none. A process makes the tree of records that
-- were there before.
alter table journal_head add column tree_size {bigint} not null default 0;
alter table journal_head add column tree_peaks {bytes};
alter table journal_head add column link {bytes};

-- The link of a group; empty for groups from before. The program of before does not know it, and its groups
-- are refused from here on: they would be missing in the history.
create table linked_groups (
    last_sequence {bigint} not null primary key,
    recorded_at   {bigint} not null,
    link          {bytes} not null
) {table};
insert into linked_groups select last_sequence, recorded_at, cast('' as {bytes}) from journal_groups order by 1;
drop table journal_groups;
alter table linked_groups rename to journal_groups;
create index journal_groups_by_time on journal_groups (recorded_at, last_sequence);

-- The roots of whole subtrees at every eighth level: number `node_index` of those over 2^`level` records.
create table tree_nodes (
    level      {bigint} not null,
    node_index {bigint} not null,
    root       {bytes} not null,
    primary key (level, node_index)
) {clustered};

-- What was signed: the tree of that size, as a note (docs/LEDGER-PROOFS.md), and the keys it was signed
-- with.
create table checkpoints (
    tree_size  {bigint} not null primary key,
    note       text not null,
    created_at {bigint} not null
) {table};
create table checkpoint_keys (
    verifier_key text not null primary key,
    created_at   {bigint} not null
) {table};
