//! Finding transactions and holds, newest first, without ever looking at more than a page can answer for.
//!
//! One filter leads through an index, the most selective first: the reference, the metadata, the
//! account, the kind, or none of them. What it finds are candidates; the other filters are asked of
//! each. A page looks at [`CANDIDATES_MAX`] of them and then answers with what it has found and where to
//! go on.

pub(super) mod repo;

use kernel::{PageLimit, Timestamp};
use ledger_api::{AccountId, HoldStatus};
use std::ops::RangeInclusive;

/// The most candidates that one page looks at.
pub(crate) const CANDIDATES_MAX: usize = 5_000;

/// How many are asked for at once when filters may turn them down.
const CANDIDATES_PER_QUERY: usize = 500;

/// Which transactions are wanted: those that have all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TransactionFilter {
    /// A leg is on this account.
    pub(crate) account: Option<AccountId>,
    pub(crate) kind: Option<String>,
    pub(crate) reference: Option<String>,
    /// Members of the metadata, each with its value.
    pub(crate) metadata: Vec<(String, String)>,
    /// Recorded at this instant or later.
    pub(crate) from: Option<Timestamp>,
    /// Recorded before this instant.
    pub(crate) to: Option<Timestamp>,
    /// A leg moves that much, in minor units.
    pub(crate) amount: Option<RangeInclusive<i64>>,
}

/// Which holds are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HoldFilter {
    /// A leg is on this account.
    pub(crate) account: Option<AccountId>,
    pub(crate) status: Option<HoldStatus>,
}

/// A record that an index led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    sequence: i64,
    /// Whether the other filters let it through.
    matches: bool,
}

/// The numbers of the records of one page, found step by step.
#[derive(Debug)]
struct Search {
    limit: PageLimit,
    found: Vec<i64>,
    looked_at: usize,
    /// The last candidate looked at; the next step begins after it.
    last: Option<i64>,
    has_ended: bool,
}

impl Search {
    fn new(limit: PageLimit) -> Self {
        Self { limit, found: Vec::new(), looked_at: 0, last: None, has_ended: false }
    }

    fn is_done(&self) -> bool {
        self.has_ended || self.found.len() > self.limit.rows() || self.looked_at >= CANDIDATES_MAX
    }

    /// Takes what was found when `asked` candidates were asked for and `seen` rows of the index came,
    /// newest first. A record may have several.
    fn take(&mut self, candidates: impl IntoIterator<Item = Candidate>, asked: usize, seen: usize) {
        for candidate in candidates {
            if self.last == Some(candidate.sequence) {
                continue;
            }
            self.last = Some(candidate.sequence);
            if candidate.matches {
                self.found.push(candidate.sequence);
            }
        }
        self.looked_at = self.looked_at.saturating_add(seen);
        self.has_ended = seen < asked;
    }

    /// The numbers on the page, and after which one the next page starts.
    fn finish(mut self) -> (Vec<i64>, Option<i64>) {
        let has_more = self.found.len() > self.limit.rows();
        self.found.truncate(self.limit.rows());
        let next = match (has_more, self.has_ended) {
            (true, _) => self.found.last().copied(),
            (false, false) => self.last,
            (false, true) => None,
        };
        (self.found, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(newest: i64, count: i64, matches: fn(i64) -> bool) -> Vec<Candidate> {
        let sequences = (newest.saturating_sub(count).saturating_add(1)..=newest).rev();
        sequences.map(|sequence| Candidate { sequence, matches: matches(sequence) }).collect()
    }

    #[test]
    fn a_full_page_goes_on_after_its_last_item() {
        let mut search = Search::new(PageLimit::new(2).unwrap());
        search.take(candidates(10, 5, |sequence| sequence % 2 == 0), 5, 5);
        assert!(search.is_done());
        assert_eq!(search.finish(), (vec![10, 8], Some(8)));
    }

    #[test]
    fn a_page_that_looked_at_too_many_goes_on_where_it_stopped() {
        let mut search = Search::new(PageLimit::new(2).unwrap());
        let mut newest = 100_000;
        while !search.is_done() {
            search.take(candidates(newest, 500, |sequence| sequence == 99_999), 500, 500);
            newest -= 500;
        }
        assert_eq!(search.finish(), (vec![99_999], Some(95_001)));
    }

    #[test]
    fn the_last_page_says_so() {
        let mut search = Search::new(PageLimit::new(2).unwrap());
        search.take(candidates(4, 4, |sequence| sequence > 2), 500, 4);
        assert!(search.is_done());
        assert_eq!(search.finish(), (vec![4, 3], None));
    }

    #[test]
    fn a_record_with_several_rows_is_found_once() {
        let mut search = Search::new(PageLimit::new(9).unwrap());
        let twice = [7, 7, 5, 5].map(|sequence| Candidate { sequence, matches: true });
        search.take(twice, 4, 4);
        search.take([5, 3].map(|sequence| Candidate { sequence, matches: true }), 4, 2);
        assert_eq!(search.finish(), (vec![7, 5, 3], None));
    }
}
