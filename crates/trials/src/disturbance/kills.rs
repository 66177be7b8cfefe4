//! SIGKILL to servers and to PostgreSQL.

use super::{Disturbance, Scene};
use crate::place::Place;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kills {
    servers: u32,
    postgres: u32,
}

impl Disturbance for Kills {
    async fn prepare(&mut self, _: &mut Place) -> anyhow::Result<()> {
        Ok(())
    }

    async fn strike(&mut self, scene: &mut Scene<'_>) -> anyhow::Result<()> {
        scene.pause(100, 700).await;
        let count = u64::try_from(scene.servers.count())?;
        let number = usize::try_from(scene.dice.roll(count))?;
        // The database in one of three; then, every other time, a server while the database is down.
        let kills_postgres = scene.place.cluster.is_some() && scene.dice.roll(3) == 0;
        let kills_server = !kills_postgres || scene.dice.roll(2) == 0;
        if kills_postgres && let Some(cluster) = &mut scene.place.cluster {
            cluster.kill().await?;
            self.postgres = self.postgres.saturating_add(1);
            scene.pause(0, 300).await;
        }
        if kills_server {
            scene.servers.kill(number, scene.fleet).await?;
            self.servers = self.servers.saturating_add(1);
        }
        if kills_postgres && let Some(cluster) = &mut scene.place.cluster {
            cluster.start().await?;
        }
        if kills_server {
            scene.servers.serve(number, scene.place, scene.fleet).await?;
        }
        Ok(())
    }

    fn count(&self) -> u32 {
        self.servers.saturating_add(self.postgres)
    }

    fn tally(&self) -> String {
        format!("{} kills of a server, {} of PostgreSQL", self.servers, self.postgres)
    }
}
