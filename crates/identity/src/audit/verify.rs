//! Proving that the trail is as it was written.

use super::entity::BEGINNING;
use super::repo;
use kernel::Timestamp;
use store::{Store, StoreError};

/// Something that is wrong with the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFinding {
    /// The number of the entry.
    pub sequence: i64,
    /// What is wrong.
    pub what: &'static str,
}

/// What a look at the whole trail showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// How many entries there are.
    pub entries: u64,
    /// The hash of the last one. Whoever keeps it elsewhere can tell whether the trail was replaced as a
    /// whole.
    pub last_hash: Vec<u8>,
    /// The first things that are wrong; empty when nothing is.
    pub findings: Vec<AuditFinding>,
}

const ENTRIES_AT_ONCE: i64 = 2_000;
const FINDINGS_MAX: usize = 1_000;

/// Computes every hash again, on one state of the database, also while others write.
pub(crate) async fn verify(store: &Store) -> Result<AuditReport, StoreError> {
    let snapshot = store.snapshot().await?;
    let head = repo::head(store, &snapshot).await?;
    let mut report =
        AuditReport { entries: 0, last_hash: BEGINNING.to_vec(), findings: Vec::new() };
    let (mut sequence, mut occurred_at) = (0_i64, Timestamp::from_micros(0));
    loop {
        let some = repo::after(store, &snapshot, sequence, ENTRIES_AT_ONCE).await?;
        if some.is_empty() {
            break;
        }
        for (entry, hash) in some {
            if entry.sequence != sequence.saturating_add(1) {
                report.find(entry.sequence, "entries before this one are missing");
            }
            if entry.occurred_at < occurred_at {
                report.find(entry.sequence, "it is earlier than the entry before it");
            }
            if entry.hash(&report.last_hash) != hash {
                report.find(
                    entry.sequence,
                    "its hash is not that of what it says and of the entry before it",
                );
            }
            (sequence, occurred_at) = (entry.sequence, entry.occurred_at);
            report.last_hash = hash;
            report.entries = report.entries.saturating_add(1);
        }
    }
    match head {
        None => report.find(sequence, "the end of the trail is not recorded"),
        Some(head) if head.sequence > sequence => {
            report.find(head.sequence, "the last entries are missing");
        }
        Some(head) if head.sequence < sequence || head.hash != report.last_hash => {
            report.find(sequence, "the trail does not end where it is recorded to end");
        }
        Some(_) => {}
    }
    Ok(report)
}

impl AuditReport {
    fn find(&mut self, sequence: i64, what: &'static str) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(AuditFinding { sequence, what });
        }
    }
}
