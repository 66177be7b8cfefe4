//! The ledger's connection to PostgreSQL is cut in the middle of commits.

use super::{Cut, Disturbance, Proxy, Scene};
use crate::load::Notes;
use crate::place::Place;
use anyhow::Context;
use std::time::{Duration, Instant};

const STRUCK_WITHIN: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, Default)]
pub(crate) struct CutCommits {
    proxy: Option<Proxy>,
    strikes: u32,
    outages: u32,
}

impl CutCommits {
    /// Puts a proxy between the ledger of the place's servers and PostgreSQL.
    pub(crate) async fn interpose(place: &mut Place) -> anyhow::Result<Proxy> {
        let cluster = place.cluster.as_ref().context("there is no PostgreSQL here")?;
        let proxy = Proxy::start(cluster.port()).await?;
        let url = cluster.url_at(proxy.port());
        place.set("FINITECH__CONNECTION_STRINGS__LEDGER", url);
        Ok(proxy)
    }
}

impl Disturbance for CutCommits {
    async fn prepare(&mut self, place: &mut Place) -> anyhow::Result<()> {
        self.proxy = Some(Self::interpose(place).await?);
        Ok(())
    }

    async fn strike(&mut self, scene: &mut Scene<'_>) -> anyhow::Result<()> {
        scene.pause(20, 200).await;
        let proxy = self.proxy.as_ref().context("not prepared")?;
        let cut_at = scene.fleet.now();
        proxy.arm(if self.strikes.is_multiple_of(2) {
            Cut::BeforeCommit
        } else {
            Cut::AfterCommit
        });
        let begun = Instant::now();
        while proxy.is_armed() {
            anyhow::ensure!(begun.elapsed() < STRUCK_WITHIN, "nobody commits postings");
            scene.pause(1, 5).await;
        }
        // Of both sorts every third time nothing can be reached for longer than the engine tries by itself:
        // clients are told, and learn from their retries whether it was committed.
        if (self.strikes / 2).is_multiple_of(3) {
            proxy.refuse(true);
            let told = scene.must_be_told(cut_at).await;
            proxy.refuse(false);
            told?;
            self.outages = self.outages.saturating_add(1);
        }
        let healed_at = scene.fleet.now();
        scene.must_go_on(healed_at).await?;
        self.strikes = self.strikes.saturating_add(1);
        Ok(())
    }

    fn was_felt(&self, notes: &Notes) -> anyhow::Result<()> {
        let (before, after) = self.proxy.as_ref().map(Proxy::cuts).unwrap_or_default();
        anyhow::ensure!(before > 0 && after > 0, "{before} cuts before a COMMIT, {after} after it");
        anyhow::ensure!(notes.resumed > 0, "no retry found its request recorded");
        Ok(())
    }

    fn count(&self) -> u32 {
        self.strikes
    }

    fn tally(&self) -> String {
        let (before, after) = self.proxy.as_ref().map(Proxy::cuts).unwrap_or_default();
        format!(
            "{before} connections cut before a COMMIT, {after} after it; {} times there was no way through \
             until clients were told",
            self.outages
        )
    }
}
