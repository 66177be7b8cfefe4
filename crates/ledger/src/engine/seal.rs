//! Sealing a group: what the records that it leaves to be written add to the history.

use super::decide::WorkingSet;
use crate::history::History;
use crate::history::record;
use crate::history::tree::{Hash, NO_HASH, Node, link};
use crate::journal::encode::{hold_status_word, status_word};
use crate::journal::limits::limits_text;

/// The history with a group, as it is stored.
#[derive(Debug)]
pub(super) struct Seal {
    pub(super) peaks: Vec<u8>,
    pub(super) link: Hash,
    /// The subtrees that are whole now.
    pub(super) nodes: Vec<(Node, Hash)>,
}

impl Seal {
    /// `history` ends where the group begins.
    pub(super) fn of(history: History, set: &WorkingSet) -> Self {
        let mut tree = history.tree;
        let mut nodes = Vec::new();
        for leaf in leaves(set, tree.size()) {
            tree.push(leaf, |node, root| nodes.push((node, root)));
        }
        let recorded_at = set.head.last_recorded_at.as_micros();
        let link = link(&history.link, set.head.last_sequence, recorded_at, &tree.root());
        Self { peaks: tree.peaks(), link, nodes }
    }
}

/// The leaves of all new records, in the order of their numbers, of which `before` are taken.
fn leaves(set: &WorkingSet, before: u64) -> Vec<Hash> {
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let place = |sequence: i64| usize::try_from(sequence.saturating_sub(before).saturating_sub(1));
    let count = place(set.head.last_sequence.saturating_add(1)).unwrap_or(0);
    let mut leaves = vec![NO_HASH; count];
    let mut put =
        |sequence, leaf| match place(sequence).ok().and_then(|place| leaves.get_mut(place)) {
            Some(place) => *place = leaf,
            None => debug_assert!(false, "record {sequence} has no number of this group"),
        };
    for (sequence, account) in &set.new_accounts {
        put(*sequence, record::account(*sequence, account));
    }
    for change in &set.new_changes {
        let (at, word) = ((change.sequence, change.changed_at), status_word(change.status));
        put(at.0, record::status_change(at, change.account_sequence, word, &change.reason));
    }
    for new in &set.new_limit_changes {
        let (at, text) = ((new.sequence, new.changed_at), limits_text(&new.limits));
        put(at.0, record::limit_change(at, new.account_sequence, &text));
    }
    for hold in set.holds_to_add() {
        put(hold.sequence, record::hold(hold));
    }
    for end in &set.new_hold_changes {
        let (at, word) = ((end.sequence, end.changed_at), hold_status_word(end.status));
        let reason = end.reason.as_deref();
        put(at.0, record::hold_end(at, end.hold_sequence, word, reason, end.initiated_by));
    }
    for transaction in &set.new_transactions {
        put(transaction.sequence, record::transaction(transaction));
    }
    leaves
}
