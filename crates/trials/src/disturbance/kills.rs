//! SIGKILL to servers and to PostgreSQL.

use super::{Disturbance, Scene};
use crate::place::Place;

/// How many in a row may go unnoticed.
const UNNOTICED_MAX: u32 = 20;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kills {
    servers: u32,
    postgres: u32,
    /// Strikes that no client felt; they do not count.
    unnoticed: u32,
    unnoticed_in_a_row: u32,
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
        let unanswered = scene.fleet.unanswered();
        if kills_postgres && let Some(cluster) = &mut scene.place.cluster {
            cluster.kill().await?;
            scene.pause(0, 300).await;
        }
        if kills_server {
            scene.servers.kill(number, scene.fleet).await?;
        }
        if kills_postgres && let Some(cluster) = &mut scene.place.cluster {
            cluster.start().await?;
        }
        if kills_server {
            scene.servers.serve(number, scene.place, scene.fleet).await?;
        }
        if scene.fleet.unanswered() == unanswered {
            self.unnoticed = self.unnoticed.saturating_add(1);
            self.unnoticed_in_a_row = self.unnoticed_in_a_row.saturating_add(1);
            anyhow::ensure!(self.unnoticed_in_a_row < UNNOTICED_MAX, "nobody notices the kills");
        } else {
            self.unnoticed_in_a_row = 0;
            self.servers = self.servers.saturating_add(u32::from(kills_server));
            self.postgres = self.postgres.saturating_add(u32::from(kills_postgres));
        }
        Ok(())
    }

    fn count(&self) -> u32 {
        self.servers.saturating_add(self.postgres)
    }

    fn tally(&self) -> String {
        format!(
            "{} kills of a server, {} of PostgreSQL, and {} that no client felt",
            self.servers, self.postgres, self.unnoticed
        )
    }
}
