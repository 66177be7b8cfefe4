//! PostgreSQL is stopped in good order and started again: every session ends with an error.

use super::{Disturbance, Scene};
use crate::place::Place;
use anyhow::Context;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PostgresRestarts(u32);

impl Disturbance for PostgresRestarts {
    async fn prepare(&mut self, _: &mut Place) -> anyhow::Result<()> {
        Ok(())
    }

    async fn strike(&mut self, scene: &mut Scene<'_>) -> anyhow::Result<()> {
        scene.pause(300, 1_200).await;
        let cluster = scene.place.cluster.as_mut().context("there is no PostgreSQL here")?;
        cluster.stop().await?;
        cluster.start().await?;
        self.0 = self.0.saturating_add(1);
        Ok(())
    }

    fn count(&self) -> u32 {
        self.0
    }

    fn tally(&self) -> String {
        format!("{} restarts of PostgreSQL", self.0)
    }
}
