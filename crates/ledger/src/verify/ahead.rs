//! Reading the journal ahead: while one stretch of it is checked, the next one is read.

use super::STEP;
use super::repo::{self, CaptureRow, Committed, ListRow, ReversalRow};
use crate::journal::chunk::{Chunk, TransactionRow};
use crate::journal::scan::Scan;
use std::panic::resume_unwind;
use store::StoreError;
use store::sea_orm::DbErr;
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
pub(super) struct Ahead {
    stretches: mpsc::Receiver<Stretch>,
    reader: JoinHandle<Result<Scan, StoreError>>,
}

impl Ahead {
    /// Begins to read the records up to `last`.
    pub(super) fn read(mut scan: Scan, last: i64) -> Self {
        let (sender, stretches) = mpsc::channel(AHEAD);
        let reader = tokio::spawn(async move {
            let mut first = 1;
            while first <= last {
                let end = first.saturating_add(STEP).saturating_sub(1).min(last);
                let stretch = Stretch::read(&mut scan, first, end).await?;
                if sender.send(stretch).await.is_err() {
                    break;
                }
                first = end.saturating_add(1);
            }
            Ok(scan)
        });
        Self { stretches, reader }
    }

    /// The next stretch; none after the last one, and none when it cannot be read.
    pub(super) async fn next(&mut self) -> Option<Stretch> {
        self.stretches.recv().await
    }

    /// What was read from, for what is left to read of the same state.
    ///
    /// # Errors
    ///
    /// Why there were no more stretches, unless it was the end.
    pub(super) async fn end(self) -> Result<Scan, StoreError> {
        drop(self.stretches);
        match self.reader.await {
            Ok(read) => read,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(cancelled) => Err(DbErr::Custom(cancelled.to_string()).into()),
            },
        }
    }
}
