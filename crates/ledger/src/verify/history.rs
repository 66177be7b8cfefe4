//! The history is what was committed: the tree over the records, the chain over the groups, and what was
//! signed of them.

use super::Finding;
use super::repo::{self, Committed, GroupRow};
use crate::history::checkpoint::{Checkpoint, VerifierKey};
use crate::history::repo::HeadRow;
use crate::history::tree::{Hash, LEVELS_PER_STORED, NO_HASH, Node, Tree, link};
use crate::journal::scan::Scan;
use store::StoreError;

/// The history while the journal is read.
#[derive(Default)]
pub(super) struct HistoryCheck {
    tree: Tree,
    link: Hash,
    /// Whether groups have links by now.
    is_linked: bool,
    /// Once something is wrong, every hash after it is, too; that is told once.
    is_broken: bool,
    keys: Vec<VerifierKey>,
    /// The newest checkpoint so far that is signed and of these records.
    checkpoint: Option<String>,
    findings: Vec<Finding>,
}

impl HistoryCheck {
    /// Goes on where a tree ends; checkpoints are trusted that one of the keys signed.
    pub(super) fn after(tree: Tree, link: Hash, keys: Vec<VerifierKey>) -> Self {
        let is_linked = link != NO_HASH;
        Self { tree, link, is_linked, keys, ..Self::default() }
    }

    /// Adds the leaves of the records after those so far.
    pub(super) fn add(&mut self, leaves: &[Option<Hash>], committed: &Committed) {
        let (mut groups, mut checkpoints) =
            (committed.groups.iter().peekable(), committed.checkpoints.iter().peekable());
        let mut whole = Vec::new();
        for leaf in leaves {
            let leaf = leaf.unwrap_or_else(|| {
                // What is wrong with the record itself is told by others.
                self.is_broken = true;
                NO_HASH
            });
            self.tree.push(leaf, |node, root| whole.push((node, root)));
            let size = self.size();
            if let Some(group) = groups.next_if(|group| group.last_sequence == size) {
                self.check_group(group);
            }
            if let Some((_, note)) = checkpoints.next_if(|(at, _)| *at == size) {
                self.check_checkpoint(note);
            }
        }
        self.check_roots(&committed.roots, &whole);
    }

    fn size(&self) -> i64 {
        i64::try_from(self.tree.size()).unwrap_or(i64::MAX)
    }

    fn check_group(&mut self, group: &GroupRow) {
        let at = group.last_sequence;
        if group.link.is_empty() {
            if self.is_linked {
                self.find(at, "a group without a link in the chain");
            }
            return;
        }
        self.is_linked = true;
        let expected = link(&self.link, at, group.recorded_at, &self.tree.root());
        if !self.is_broken && group.link != expected {
            self.is_broken = true;
            self.find(at, "the chain breaks here: not these records, or not here, were committed");
        }
        self.link = expected;
    }

    fn check_checkpoint(&mut self, note: &str) {
        let at = self.size();
        let Some(checkpoint) = Checkpoint::opened(note, &self.keys) else {
            return self.find(at, "a checkpoint that no known key signed");
        };
        let is_same = checkpoint.size == self.tree.size()
            && checkpoint.root == self.tree.root()
            && checkpoint.link == self.link;
        if is_same {
            self.checkpoint = Some(note.to_owned());
        } else {
            self.find(at, "the records up to here are not those of the signed checkpoint");
        }
    }

    /// The stored roots of subtrees that are whole now.
    fn check_roots(&mut self, stored: &[(i64, i64, Vec<u8>)], whole: &[(Node, Hash)]) {
        for (node, root) in whole {
            let at = (i64::from(node.level), node.index.cast_signed());
            let place = stored.binary_search_by_key(&at, |(level, index, _)| (*level, *index));
            let stored = place.ok().map(|place| stored[place].2.as_slice());
            if !self.is_broken && stored != Some(root.as_slice()) {
                let last = node.leaves().end.cast_signed();
                self.find(last, "the stored root of the subtree that ends here is another");
            }
        }
    }

    /// What is wrong, once all records are added, and the newest checkpoint that is not.
    pub(super) async fn end(
        mut self,
        scan: &mut Scan,
        head: &HeadRow,
    ) -> Result<(Vec<Finding>, Option<String>), StoreError> {
        let size = self.size();
        let has_tree = head.tree_size == size
            && (self.is_broken
                || head.tree_peaks.as_deref().unwrap_or_default() == self.tree.peaks());
        if !has_tree {
            self.find(size, "the head of the journal has another tree than its records");
        }
        let has_link = match &head.link {
            Some(link) => self.is_broken || *link == self.link,
            None => !self.is_linked,
        };
        if !has_link {
            self.find(size, "the head of the journal has another link than its last group");
        }
        let counts = repo::root_counts(scan).await?;
        let mut level = LEVELS_PER_STORED;
        let mut expected = Vec::new();
        while let Some(count @ 1..) = self.tree.size().checked_shr(level) {
            expected.push((i64::from(level), count.cast_signed()));
            level = level.saturating_add(LEVELS_PER_STORED);
        }
        if counts != expected {
            let what = format!("roots are stored of {counts:?} (level, number), not {expected:?}");
            self.findings.push(Finding { sequence: size, what });
        }
        Ok((self.findings, self.checkpoint))
    }

    fn find(&mut self, sequence: i64, what: &str) {
        self.findings.push(Finding { sequence, what: what.to_owned() });
    }
}
