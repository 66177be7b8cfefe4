//! PostgreSQL is stopped in good order and started again: every session ends with an error.

use super::{Disturbance, Scene};
use crate::place::Place;
use anyhow::Context;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PostgresRestarts {
    strikes: u32,
    long: u32,
}

impl Disturbance for PostgresRestarts {
    async fn prepare(&mut self, _: &mut Place) -> anyhow::Result<()> {
        Ok(())
    }

    async fn strike(&mut self, scene: &mut Scene<'_>) -> anyhow::Result<()> {
        scene.pause(300, 1_200).await;
        scene.place.cluster.as_mut().context("there is no PostgreSQL here")?.stop().await?;
        let stopped_at = scene.fleet.now();
        // Mostly it is away so briefly that requests may wait for it; every fourth time until clients are told,
        // which takes as long as they may wait for a connection.
        let is_long = self.strikes.is_multiple_of(4);
        if is_long {
            scene.must_be_told(stopped_at).await?;
            self.long = self.long.saturating_add(1);
        }
        scene.place.cluster.as_mut().context("there is no PostgreSQL here")?.start().await?;
        let started_at = scene.fleet.now();
        scene.must_go_on(started_at).await?;
        self.strikes = self.strikes.saturating_add(1);
        Ok(())
    }

    fn count(&self) -> u32 {
        self.strikes
    }

    fn tally(&self) -> String {
        format!(
            "{} restarts of PostgreSQL, {} of them until clients were told",
            self.strikes, self.long
        )
    }
}
