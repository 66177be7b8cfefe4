//! Was it committed? Connections are cut right before or right after a COMMIT, and stay down for longer than
//! the engine tries: the client is told that it is unknown, and its retry by the same id learns what came of
//! it. Either way the transfer happens once.

use super::books::{Books, is_done, verify};
use crate::disturbance::{Cut, CutCommits, Proxy};
use crate::place::Place;
use std::time::Duration;

/// On PostgreSQL.
pub(super) async fn try_it(place: &mut Place) -> anyhow::Result<()> {
    let proxy = CutCommits::interpose(place).await?;
    let server = place.serve("server").await?;
    let books = Books::of(&server).await?;
    for (before, id, cut) in [(1, 2, Cut::BeforeCommit), (3, 4, Cut::AfterCommit)] {
        anyhow::ensure!(is_done(&books.transfer(before).await?), "a transfer without a fault");
        let answer = cut_off(&proxy, cut, books.transfer(id)).await?;
        anyhow::ensure!(answer.is_unavailable(), "unknown for the client: {answer:?}");
        anyhow::ensure!(!proxy.is_armed(), "nothing was cut");
        let was_committed = books.has(id).await?;
        anyhow::ensure!(was_committed == (cut == Cut::AfterCommit), "committed: {was_committed}");
        let again = books.transfer(id).await?;
        anyhow::ensure!(is_done(&again), "the retry: {again:?}");
        anyhow::ensure!(again.is_replayed() == was_committed, "the retry: {again:?}");
        println!("  {cut:?}: 503, then 201 by the same id, replayed: {was_committed}");
    }
    anyhow::ensure!(books.balance().await? == 4, "each transfer happened once");
    server.stop().await?;
    verify(place).await
}

/// Cuts the connection at its next COMMIT and lets nobody through until the answer is there.
async fn cut_off<T>(
    proxy: &Proxy,
    cut: Cut,
    request: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    proxy.arm(cut);
    let refuse = async {
        while proxy.is_armed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        proxy.refuse(true);
        std::future::pending::<()>().await;
    };
    let answer = tokio::select! {
        answer = request => answer,
        () = refuse => anyhow::bail!("it never ends"),
    };
    proxy.refuse(false);
    answer
}
