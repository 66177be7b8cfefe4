//! Reading the journal ahead: while one stretch of it is checked, the next one is read.

use super::STEP;
use super::repo::{self, CaptureRow, Committed, ListRow, ReversalRow};
use crate::journal::chunk::{Chunk, TransactionRow};
use crate::journal::scan::{Scan, joined};
use std::iter;
use store::{Store, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How many stretches may be read and wait for their check.
const AHEAD: usize = 2;

/// A stretch of the journal, and what else is stored of its records.
pub(super) struct Stretch {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) chunk: Chunk,
    pub(super) committed: Committed,
    pub(super) lists: Vec<ListRow>,
    pub(super) reversals: Vec<ReversalRow>,
    pub(super) captures: Vec<CaptureRow>,
}

impl Stretch {
    async fn read(scan: &mut Scan, first: i64, last: i64) -> Result<Self, StoreError> {
        let chunk = Chunk::read(scan, first, last).await?;
        let committed = repo::committed(scan, first, last).await?;
        let lists = repo::lists(scan, first, last).await?;
        let reversals = if chunk.transactions.iter().any(TransactionRow::is_reversal) {
            repo::reversals(scan, first, last).await?
        } else {
            Vec::new()
        };
        let captures = if chunk.transactions.iter().any(TransactionRow::is_capture) {
            repo::captures(scan, first, last).await?
        } else {
            Vec::new()
        };
        Ok(Self { first, last, chunk, committed, lists, reversals, captures })
    }
}

/// All stretches of a journal, in order.
///
/// Where there is a second connection to the same state, every other stretch is read from it: PostgreSQL
/// works for one while the answer to the other is decoded.
pub(super) struct Ahead {
    reader: Reader,
    beside: Option<Reader>,
    is_beside_next: bool,
}

struct Reader {
    stretches: mpsc::Receiver<Stretch>,
    task: JoinHandle<Result<Scan, StoreError>>,
}

impl Ahead {
    /// Begins to read the records up to `last`.
    ///
    /// # Errors
    ///
    /// When a second connection to PostgreSQL fails.
    pub(super) async fn read(store: &Store, mut scan: Scan, last: i64) -> Result<Self, StoreError> {
        let starts = iter::successors(Some(1_i64), |first| first.checked_add(STEP))
            .take_while(move |first| *first <= last);
        let (reader, beside) = match scan.beside(store).await? {
            Some(beside) => (
                Reader::begin(scan, starts.clone().step_by(2), last),
                Some(Reader::begin(beside, starts.skip(1).step_by(2), last)),
            ),
            None => (Reader::begin(scan, starts, last), None),
        };
        Ok(Self { reader, beside, is_beside_next: false })
    }

    /// The next stretch; none after the last one, and none when it cannot be read.
    pub(super) async fn next(&mut self) -> Option<Stretch> {
        let is_beside = self.is_beside_next;
        self.is_beside_next = !is_beside;
        let reader = self.beside.as_mut().filter(|_| is_beside).unwrap_or(&mut self.reader);
        reader.stretches.recv().await
    }

    /// What was read from, for what is left to read of the same state.
    ///
    /// # Errors
    ///
    /// Why there were no more stretches, unless it was the end.
    pub(super) async fn end(self) -> Result<Scan, StoreError> {
        if let Some(beside) = self.beside {
            beside.end().await?;
        }
        self.reader.end().await
    }
}

impl Reader {
    /// Begins to read the stretches that start at these records.
    fn begin(
        mut scan: Scan,
        starts: impl Iterator<Item = i64> + Send + 'static,
        last: i64,
    ) -> Self {
        let (sender, stretches) = mpsc::channel(AHEAD);
        let task = tokio::spawn(async move {
            for first in starts {
                let end = first.saturating_add(STEP).saturating_sub(1).min(last);
                let stretch = Stretch::read(&mut scan, first, end).await?;
                if sender.send(stretch).await.is_err() {
                    break;
                }
            }
            Ok(scan)
        });
        Self { stretches, task }
    }

    async fn end(self) -> Result<Scan, StoreError> {
        drop(self.stretches);
        joined(self.task.await)
    }
}
