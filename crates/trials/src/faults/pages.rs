//! After a failed fsync the system counts pages as written that the disk never got: they can be read until
//! the machine goes down. Whoever builds on them loses what was acknowledged since. Here the program is
//! killed after such a failure and started again, confirms what it found, acknowledges more, and then
//! the machine goes down: every page that only the failed fsync would have written, and that was not
//! written again since, is as it was before.

use super::books::{Books, is_done, verify};
use crate::disturbance::{Injected, InjectedFault};
use crate::place::Place;
use std::path::Path;

const PAGE: usize = 4_096;

/// On SQLite.
pub(super) async fn try_it(place: &mut Place) -> anyhow::Result<()> {
    Injected::preload(place);
    let server = place.serve("server").await?;
    let books = Books::of(&server).await?;
    for id in 101..=120 {
        anyhow::ensure!(is_done(&books.transfer(id).await?), "a transfer without a fault");
    }
    let log = place.data_dir().join("ledger.db-wal");
    let durable = std::fs::read(&log)?;
    Injected::switch(InjectedFault::FailingSync, place, server.pid()?, true).await?;
    let answer = books.transfer(1).await?;
    anyhow::ensure!(answer.is_unavailable(), "unknown for the client: {answer:?}");
    server.kill().await?;
    let never_durable = std::fs::read(&log)?;
    anyhow::ensure!(durable != never_durable, "the failed group left nothing in the log");

    let server = place.serve("server").await?;
    let books = Books::of(&server).await?;
    // The danger is there: the program has taken over what the disk has not got.
    anyhow::ensure!(books.has(1).await?, "what the failed fsync left behind was not found");
    for id in [1, 2, 3] {
        anyhow::ensure!(is_done(&books.transfer(id).await?), "a transfer after the fault");
    }
    server.kill().await?;
    let lost = forget(&log, &durable, &never_durable)?;
    anyhow::ensure!(lost > 0, "nothing was lost with the machine");
    println!("  found after the failed fsync, and lost with the machine: {lost} pages of the log");

    verify(place).await?;
    let server = place.serve("server").await?;
    let books = Books::of(&server).await?;
    for id in (101..=120).chain([1, 2, 3]) {
        anyhow::ensure!(books.has(id).await?, "{id} was acknowledged and is lost");
    }
    anyhow::ensure!(books.balance().await? == 23, "each transfer happened once");
    server.stop().await?;
    verify(place).await
}

/// Takes back every page of the log that is still what the failed fsync left behind.
fn forget(log: &Path, durable: &[u8], never_durable: &[u8]) -> anyhow::Result<usize> {
    let mut now = std::fs::read(log)?;
    let mut lost: usize = 0;
    for (index, page) in now.chunks_mut(PAGE).enumerate() {
        let of =
            |file: &[u8]| -> Vec<u8> { file.chunks(PAGE).nth(index).unwrap_or_default().to_vec() };
        let (before, failed) = (of(durable), of(never_durable));
        if before == failed || !failed.starts_with(page) {
            continue;
        }
        page.fill(0);
        let kept = page.iter_mut().zip(before);
        kept.for_each(|(byte, before)| *byte = before);
        lost = lost.saturating_add(1);
    }
    std::fs::write(log, now)?;
    Ok(lost)
}
