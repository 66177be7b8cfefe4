//! The ledger's connection to PostgreSQL is cut in the middle of commits.

use super::{Cut, Disturbance, Proxy, Scene};
use crate::place::Place;
use anyhow::Context;
use std::time::{Duration, Instant};

const STRUCK_WITHIN: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, Default)]
pub(crate) struct CutCommits {
    proxy: Option<Proxy>,
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
        proxy.arm(if scene.dice.roll(2) == 0 { Cut::BeforeCommit } else { Cut::AfterCommit });
        let begun = Instant::now();
        while proxy.is_armed() {
            anyhow::ensure!(begun.elapsed() < STRUCK_WITHIN, "nobody commits");
            scene.pause(1, 5).await;
        }
        // Every third time nothing can be reached for longer than the engine tries by itself.
        if scene.dice.roll(3) == 0 {
            proxy.refuse(true);
            scene.pause(800, 1_500).await;
            proxy.refuse(false);
        }
        Ok(())
    }

    fn count(&self) -> u32 {
        let (before, after) = self.proxy.as_ref().map(Proxy::cuts).unwrap_or_default();
        before.saturating_add(after)
    }

    fn tally(&self) -> String {
        let (before, after) = self.proxy.as_ref().map(Proxy::cuts).unwrap_or_default();
        format!("{before} connections cut before a COMMIT, {after} after it")
    }
}
