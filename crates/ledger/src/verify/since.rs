//! Verifying what came after a checkpoint: that the history continues it, and that the new records are
//! those that were committed and add up. What the checkpoint covers is taken to be as it was when somebody
//! verified it.

use super::history::HistoryCheck;
use super::{Finding, Report, STEP, behind_from, repo};
use crate::history::checkpoint::{Checkpoint, VerifierKey};
use crate::history::repo::Roots;
use crate::history::tree::{Tree, subtrees};
use crate::journal::chunk::{Chunk, accounts_touched};
use crate::journal::scan::Scan;
use store::{Store, StoreError};

pub(super) async fn verify(
    store: &Store,
    note: &str,
    keys: Vec<VerifierKey>,
    mut progress: impl FnMut(i64, i64) + Send,
) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let Some(checkpoint) = Checkpoint::opened(note, &keys) else {
        report.find(0, "no known key signed the checkpoint to go on from".into());
        return Ok(report);
    };
    let mut scan = Scan::begin(store).await?;
    let head = repo::head(&mut scan).await?;
    let behind_from = behind_from(&mut scan, &mut report).await?;
    let from = checkpoint.size.cast_signed();
    let tree = match head.tree_size >= from {
        true => tree_at(store, checkpoint.size).await?,
        false => None,
    };
    let Some(tree) = tree.filter(|tree| tree.root() == checkpoint.root) else {
        report.find(from, "the history does not continue the checkpoint to go on from".into());
        return Ok(report);
    };
    let mut history = HistoryCheck::after(tree, checkpoint.link, keys);
    let (mut first, last) = (from.saturating_add(1), head.last_sequence);
    while first <= last {
        let end = first.saturating_add(STEP).saturating_sub(1).min(last);
        let chunk = Chunk::read(&mut scan, first, end).await?;
        let accounts = accounts_touched(&mut scan, first, end).await?;
        let named = |account| accounts.get(&account).copied();
        let (leaves, wrong) = chunk.leaves((first, end), named);
        for (sequence, error) in wrong {
            report.find(sequence, error.to_string());
        }
        for (missing, _) in (first..).zip(&leaves).filter(|(_, leaf)| leaf.is_none()) {
            report.find(missing, "the record is missing or not as the program writes it".into());
        }
        history.add(&leaves, &repo::committed(&mut scan, first, end).await?);
        check_sums(&mut scan, (first, end), behind_from, &mut report).await?;
        report.accounts = report.accounts.saturating_add(chunk.accounts.len() as u64);
        report.transactions = report.transactions.saturating_add(chunk.transactions.len() as u64);
        report.entries = report.entries.saturating_add(chunk.entries.len() as u64);
        progress(end, last);
        first = end.saturating_add(1);
    }
    let (found, newest) = history.end(&mut scan, &head).await?;
    for Finding { sequence, what } in found {
        report.find(sequence, what);
    }
    // Whatever older ones the database has by now, this is the one that was verified.
    report.checkpoint = newest.or_else(|| Some(note.to_owned()));
    Ok(report)
}

/// The tree as it was at a size.
async fn tree_at(store: &Store, size: u64) -> Result<Option<Tree>, StoreError> {
    let mut roots = Roots::of(store, size).await?;
    let mut peaks = Vec::new();
    for node in subtrees(0..size) {
        peaks.push(roots.root(node).await?);
    }
    Ok(Tree::from_parts(size.cast_signed(), &peaks.concat()))
}

/// The new transactions sum to zero, the running balances go on from those before, and the accounts stand
/// where their last entries say, as far as their rows are not behind.
async fn check_sums(
    scan: &mut Scan,
    (first, last): (i64, i64),
    behind_from: Option<i64>,
    report: &mut Report,
) -> Result<(), StoreError> {
    for (sequence, currency) in repo::unbalanced(scan, first, last).await? {
        report.find(sequence, format!("debits and credits in {currency} differ"));
    }
    for (sequence,) in repo::unlinked(scan, first, last).await? {
        report.find(sequence, "a running balance does not go on from the one before".into());
    }
    let last = behind_from.map_or(last, |from| last.min(from.saturating_sub(1)));
    for (account,) in repo::misplaced(scan, first, last).await? {
        report.find(account, "the account does not stand where its last entry says".into());
    }
    Ok(())
}
