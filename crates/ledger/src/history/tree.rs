//! The Merkle tree of RFC 9162 section 2.1 over the records of the journal, in the order of their numbers:
//! the record with number n is leaf n - 1.

use aws_lc_rs::digest::{SHA256, digest};
use std::ops::Range;

/// SHA-256.
pub(crate) type Hash = [u8; 32];

/// The hash of an empty history, and what stands before the first group of the chain.
pub(crate) const NO_HASH: Hash = [0; 32];

/// Roots of whole subtrees are stored at every so many levels; those between are made from them. The
/// lowest that are stored stand over 2^8 records.
pub(crate) const LEVELS_PER_STORED: u32 = 8;

/// What a domain of hashes begins with, so that nothing of one can be taken for something of another.
pub(crate) const LEAF: u8 = 0;
const NODE: u8 = 1;
const GROUP: u8 = 2;

pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = NO_HASH;
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// The root over two subtrees.
pub(crate) fn parent(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [NODE; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    sha256(&bytes)
}

/// A link of the chain of groups: what was before, where and when the group ends, and the tree with it.
pub(crate) fn link(before: &Hash, last_sequence: i64, recorded_at: i64, root: &Hash) -> Hash {
    let mut bytes = [GROUP; 81];
    bytes[1..33].copy_from_slice(before);
    bytes[33..41].copy_from_slice(&last_sequence.to_be_bytes());
    bytes[41..49].copy_from_slice(&recorded_at.to_be_bytes());
    bytes[49..].copy_from_slice(root);
    sha256(&bytes)
}

/// A whole subtree: 2^`level` leaves, of which those before number `index` times as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) level: u32,
    pub(crate) index: u64,
}

impl Node {
    pub(crate) fn leaves(self) -> Range<u64> {
        self.index << self.level..self.index.saturating_add(1) << self.level
    }
}

/// A tree by the roots of the whole subtrees that it consists of: enough to let it grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    size: u64,
    /// From the largest subtree to the smallest.
    peaks: Vec<Hash>,
}

impl Tree {
    /// `None` if there are not as many peaks as a tree of that size has.
    pub(crate) fn from_parts(size: i64, peaks: &[u8]) -> Option<Self> {
        let size = u64::try_from(size).ok()?;
        let (peaks, rest) = peaks.as_chunks::<32>();
        let fits = rest.is_empty() && u32::try_from(peaks.len()) == Ok(size.count_ones());
        fits.then(|| Self { size, peaks: peaks.to_vec() })
    }

    /// The number of leaves.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn peaks(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    /// Adds a leaf, and tells of each subtree that is whole with it and whose root is to be stored.
    pub(crate) fn push(&mut self, leaf: Hash, mut whole: impl FnMut(Node, Hash)) {
        let (mut root, mut node) = (leaf, Node { level: 0, index: self.size });
        while node.index & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            root = parent(&left, &root);
            node = Node { level: node.level.saturating_add(1), index: node.index >> 1 };
            if node.level.is_multiple_of(LEVELS_PER_STORED) {
                whole(node, root);
            }
        }
        self.peaks.push(root);
        self.size = self.size.saturating_add(1);
    }

    /// The head of the tree.
    pub(crate) fn root(&self) -> Hash {
        joined(&self.peaks)
    }
}

/// The root over whole subtrees that follow each other, the largest first.
pub(crate) fn joined(subtrees: &[Hash]) -> Hash {
    let mut roots = subtrees.iter().rev();
    let Some(last) = roots.next() else { return sha256(&[]) };
    roots.fold(*last, |right, left| parent(left, &right))
}

/// The whole subtrees that a range of leaves consists of, as RFC 9162 splits trees.
pub(crate) fn subtrees(leaves: Range<u64>) -> Vec<Node> {
    let mut start = leaves.start;
    let mut nodes = Vec::new();
    while let Some(level) = leaves.end.saturating_sub(start).checked_ilog2() {
        nodes.push(Node { level, index: start >> level });
        start = start.saturating_add(1 << level);
    }
    nodes
}

/// The largest power of two that is less than `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << size.saturating_sub(1).checked_ilog2().unwrap_or(0)
}

/// The ranges whose roots lead from a leaf to the head of a tree (RFC 9162 section 2.1.3.1). The leaf is
/// one of the tree.
pub(crate) fn inclusion_path(index: u64, size: u64) -> Vec<Range<u64>> {
    let mut tree = 0..size;
    let mut path = Vec::new();
    while tree.end.saturating_sub(tree.start) > 1 {
        let middle = tree.start.saturating_add(split(tree.end.saturating_sub(tree.start)));
        let (left, right) = (tree.start..middle, middle..tree.end);
        let (inside, beside) = if index < middle { (left, right) } else { (right, left) };
        path.push(beside);
        tree = inside;
    }
    path.reverse();
    path
}

/// The ranges whose roots show that a tree began as a smaller one (RFC 9162 section 2.1.4.1). The smaller
/// has at least one leaf and is not larger.
pub(crate) fn consistency_path(smaller: u64, size: u64) -> Vec<Range<u64>> {
    let mut tree = 0..size;
    let mut path = Vec::new();
    while tree.end > smaller {
        let middle = tree.start.saturating_add(split(tree.end.saturating_sub(tree.start)));
        let (left, right) = (tree.start..middle, middle..tree.end);
        let (inside, beside) = if smaller <= middle { (left, right) } else { (right, left) };
        path.push(beside);
        tree = inside;
    }
    // The smaller tree as a whole is known to whoever checks.
    if tree.start > 0 {
        path.push(tree);
    }
    path.reverse();
    path
}

/// The head that a leaf and its path lead to (RFC 9162 section 2.1.3.2); `None` for a path that fits no
/// tree of that size.
pub(crate) fn root_of_inclusion(index: u64, size: u64, leaf: Hash, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut root) = (index, size.saturating_sub(1), leaf);
    for beside in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            root = parent(beside, &root);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            root = parent(&root, beside);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    (last == 0).then_some(root)
}

/// Whether a path shows that the tree with the head `to` began as the one with the head `from`
/// (RFC 9162 section 2.1.4.2).
pub(crate) fn is_consistent(from: (u64, Hash), to: (u64, Hash), path: &[Hash]) -> bool {
    let ((smaller, from), (size, to)) = (from, to);
    if smaller == 0 || smaller > size {
        return false;
    }
    if smaller == size {
        return path.is_empty() && from == to;
    }
    let known = smaller.is_power_of_two().then_some(from);
    let mut path = known.iter().chain(path);
    let Some(&first) = path.next() else { return false };
    let trailing = smaller.saturating_sub(1).trailing_ones();
    let (mut at, mut last) =
        (smaller.saturating_sub(1) >> trailing, size.saturating_sub(1) >> trailing);
    let (mut old, mut new) = (first, first);
    for beside in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            (old, new) = (parent(beside, &old), parent(beside, &new));
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            new = parent(&new, beside);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && old == from && new == to
}
