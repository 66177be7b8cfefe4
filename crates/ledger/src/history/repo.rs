//! The history as it is stored.

use super::tree::{Hash, LEVELS_PER_STORED, Node, Tree};
use crate::journal::chunk::{Chunk, accounts_touched};
use crate::journal::scan::Scan;
use store::sea_orm::{self, ConnectionTrait, DbBackend, FromQueryResult, Value};
use store::{Store, StoreError, WriteTx};

/// Records that become part of the tree in one database transaction.
const STEP: i64 = 5_000;

/// The head of the journal, as far as the history goes.
#[derive(Debug, FromQueryResult)]
pub(crate) struct HeadRow {
    pub(crate) last_sequence: i64,
    pub(crate) tree_size: i64,
    pub(crate) tree_peaks: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
}

impl HeadRow {
    pub(crate) fn tree(&self) -> Result<Tree, StoreError> {
        Tree::from_parts(self.tree_size, self.tree_peaks.as_deref().unwrap_or_default())
            .ok_or_else(|| StoreError::inconsistent("journal_head", "tree_peaks", 1))
    }
}

pub(crate) const HEAD_SQL: &str =
    "select last_sequence, tree_size, tree_peaks, link from journal_head where id = 1";

pub(crate) async fn head(store: &Store) -> Result<HeadRow, StoreError> {
    head_on(store, store.read(), HEAD_SQL).await
}

async fn head_on(
    store: &Store,
    connection: &impl ConnectionTrait,
    sql: &str,
) -> Result<HeadRow, StoreError> {
    let row = HeadRow::find_by_statement(store.statement(sql, [])).one(connection).await?;
    row.ok_or_else(|| StoreError::inconsistent("journal_head", "id", 1))
}

/// Makes the tree of the records that were there before there was one. It may be stopped at any time and
/// goes on from there; several processes share the work.
pub(crate) async fn catch_up(store: &Store) -> Result<(), StoreError> {
    let mut told = false;
    loop {
        let head = head(store).await?;
        if head.tree_size >= head.last_sequence {
            return Ok(());
        }
        if !told {
            let records = head.last_sequence.saturating_sub(head.tree_size);
            tracing::info!(records, "making the history of what the ledger holds");
            told = true;
        }
        let tx = store.begin().await?;
        let sql = match store.backend() {
            DbBackend::Postgres => format!("{HEAD_SQL} for update"),
            _ => HEAD_SQL.to_owned(),
        };
        let head = head_on(store, &tx, &sql).await?;
        add_records(store, &tx, &head).await?;
        tx.commit().await?;
    }
}

async fn add_records(store: &Store, tx: &WriteTx, head: &HeadRow) -> Result<(), StoreError> {
    let mut tree = head.tree()?;
    let first = head.tree_size.saturating_add(1);
    let last = head.tree_size.saturating_add(STEP).min(head.last_sequence);
    let mut whole = Vec::new();
    for leaf in leaves(&mut Scan::begin(store).await?, first, last).await? {
        tree.push(leaf, |node, root| whole.push((node, root)));
    }
    for (node, root) in whole {
        let sql = "insert into tree_nodes (level, node_index, root) values ($1, $2, $3)";
        let row = [node.level.into(), node.index.cast_signed().into(), Value::from(root.to_vec())];
        tx.execute_raw(store.statement(sql, row)).await?;
    }
    let sql = "update journal_head set tree_size = $1, tree_peaks = $2 where id = 1";
    tx.execute_raw(store.statement(sql, [last.into(), Value::from(tree.peaks())])).await?;
    Ok(())
}

/// The leaves of a range of records, all of which are there.
async fn leaves(scan: &mut Scan, first: i64, last: i64) -> Result<Vec<Hash>, StoreError> {
    let chunk = Chunk::read(scan, first, last).await?;
    let accounts = accounts_touched(scan, first, last).await?;
    let (leaves, wrong) = chunk.leaves((first, last), |account| accounts.get(&account).copied());
    if let Some((_, error)) = wrong.into_iter().next() {
        return Err(error);
    }
    let missing = || StoreError::inconsistent("journal_head", "last_sequence", last);
    leaves.into_iter().collect::<Option<_>>().ok_or_else(missing)
}

/// The roots of whole subtrees of the tree of `size` records, from what is stored of them and the records
/// themselves.
pub(crate) struct Roots {
    scan: Scan,
    size: u64,
    /// The leaves of the stretches of records that were needed so far, by number.
    leaves: Vec<(u64, Vec<Hash>)>,
}

impl Roots {
    pub(crate) async fn of(store: &Store, size: u64) -> Result<Self, StoreError> {
        Ok(Self { scan: Scan::begin(store).await?, size, leaves: Vec::new() })
    }

    pub(crate) async fn root(&mut self, node: Node) -> Result<Hash, StoreError> {
        let above = node.level % LEVELS_PER_STORED;
        if node.level < LEVELS_PER_STORED {
            let range = node.leaves();
            let stretch = range.start >> LEVELS_PER_STORED;
            let before = stretch << LEVELS_PER_STORED;
            let place =
                |leaf: u64| usize::try_from(leaf.saturating_sub(before)).unwrap_or(usize::MAX);
            let leaves = self.stretch(stretch).await?.get(place(range.start)..place(range.end));
            let missing = || StoreError::inconsistent("journal_head", "tree_size", range.end);
            return Ok(root_over(leaves.ok_or_else(missing)?));
        }
        let level = node.level.saturating_sub(above);
        let below = Node { level: above, index: node.index }.leaves();
        let (first, last) = (below.start, below.end.saturating_sub(1));
        let sql = "select root from tree_nodes where level = $1 \
                   and node_index between $2 and $3 order by node_index";
        let numbers = [level.into(), first.cast_signed(), last.cast_signed()];
        let rows = self.scan.rows::<(Vec<u8>,)>(sql, &numbers).await?;
        let wrong = || StoreError::inconsistent("tree_nodes", "root", last);
        let roots = rows.into_iter().map(|(root,)| Hash::try_from(root).map_err(|_| wrong()));
        let roots = roots.collect::<Result<Vec<_>, _>>()?;
        if roots.len() == 1 << above { Ok(root_over(&roots)) } else { Err(wrong()) }
    }

    async fn stretch(&mut self, number: u64) -> Result<&[Hash], StoreError> {
        let known = self.leaves.iter().position(|(known, _)| *known == number);
        let place = match known {
            Some(place) => place,
            None => {
                let first = (number << LEVELS_PER_STORED).saturating_add(1);
                let last = (number.saturating_add(1) << LEVELS_PER_STORED).min(self.size);
                let read = leaves(&mut self.scan, first.cast_signed(), last.cast_signed()).await?;
                self.leaves.push((number, read));
                self.leaves.len().saturating_sub(1)
            }
        };
        Ok(&self.leaves[place].1)
    }
}

/// The root over as many subtrees of one size as a whole subtree has.
fn root_over(roots: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    roots.iter().for_each(|root| tree.push(*root, |_, _| {}));
    tree.root()
}

/// A checkpoint as it was signed.
#[derive(Clone, Debug, FromQueryResult)]
pub(crate) struct CheckpointRow {
    pub(crate) tree_size: i64,
    pub(crate) note: String,
    pub(crate) created_at: i64,
}

/// Keeps a checkpoint, unless there is one of its size already.
pub(crate) async fn add_checkpoint(
    store: &Store,
    checkpoint: &CheckpointRow,
    verifier_key: &str,
) -> Result<(), StoreError> {
    let created_at = checkpoint.created_at;
    let tx = store.begin().await?;
    let sql = "insert into checkpoint_keys (verifier_key, created_at) values ($1, $2) \
               on conflict do nothing";
    tx.execute_raw(store.statement(sql, [verifier_key.into(), created_at.into()])).await?;
    let sql = "insert into checkpoints (tree_size, note, created_at) values ($1, $2, $3) \
               on conflict do nothing";
    let (size, note) = (checkpoint.tree_size.into(), checkpoint.note.as_str().into());
    tx.execute_raw(store.statement(sql, [size, note, created_at.into()])).await?;
    Ok(tx.commit().await?)
}

/// The largest checkpoint of at most a size.
pub(crate) async fn latest_checkpoint(
    store: &Store,
    size_max: i64,
) -> Result<Option<CheckpointRow>, StoreError> {
    Ok(checkpoints_before(store, size_max.saturating_add(1), 1).await?.pop())
}

/// Checkpoints of less than a size, the largest first.
pub(crate) async fn checkpoints_before(
    store: &Store,
    size: i64,
    limit: i64,
) -> Result<Vec<CheckpointRow>, StoreError> {
    let sql = "select tree_size, note, created_at from checkpoints where tree_size < $1 \
               order by tree_size desc limit $2";
    let statement = store.statement(sql, [size.into(), limit.into()]);
    Ok(CheckpointRow::find_by_statement(statement).all(store.read()).await?)
}

/// Every key that checkpoints were signed with, the oldest first.
pub(crate) async fn checkpoint_keys(store: &Store) -> Result<Vec<String>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        verifier_key: String,
    }
    let sql = "select verifier_key from checkpoint_keys order by created_at, verifier_key";
    let rows = Row::find_by_statement(store.statement(sql, [])).all(store.read()).await?;
    Ok(rows.into_iter().map(|row| row.verifier_key).collect())
}
