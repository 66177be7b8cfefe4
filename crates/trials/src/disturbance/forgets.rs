//! A disk that forgets: what was durable a moment ago is gone. No program survives that; it shows that the
//! check would notice one that loses what it acknowledged.

use super::{Disturbance, Scene};
use crate::place::Place;
use std::path::Path;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forgets {
    strikes: u32,
    times: u32,
}

/// Of the ledger: the database and its log.
const FILES: [&str; 2] = ["ledger.db", "ledger.db-wal"];

/// What the log is found by; made anew when it is missing.
const INDEX: &str = "ledger.db-shm";

impl Disturbance for Forgets {
    async fn prepare(&mut self, place: &mut Place) -> anyhow::Result<()> {
        Ok(std::fs::create_dir_all(place.folder.path().join("before"))?)
    }

    async fn strike(&mut self, scene: &mut Scene<'_>) -> anyhow::Result<()> {
        scene.pause(300, 900).await;
        scene.servers.kill(0, scene.fleet).await?;
        let (now, before) = (scene.place.data_dir(), scene.place.folder.path().join("before"));
        if self.strikes.is_multiple_of(2) {
            copy(&now, &before)?;
        } else {
            copy(&before, &now)?;
            std::fs::remove_file(now.join(INDEX))?;
            self.times = self.times.saturating_add(1);
        }
        self.strikes = self.strikes.saturating_add(1);
        scene.servers.serve(0, scene.place, scene.fleet).await
    }

    fn count(&self) -> u32 {
        self.strikes
    }

    fn tally(&self) -> String {
        format!("the disk forgot {} times what was durable", self.times)
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for file in FILES {
        std::fs::copy(from.join(file), to.join(file))?;
    }
    Ok(())
}
