//! What is done to the program, its database or its machine while clients go on.

mod clock;
mod cuts;
mod forgets;
mod injected;
mod kills;
mod proxy;
mod restarts;
mod volume;

pub(crate) use clock::ClockJumps;
pub(crate) use cuts::CutCommits;
pub(crate) use forgets::Forgets;
pub(crate) use injected::{Injected, InjectedFault};
pub(crate) use kills::Kills;
pub(crate) use proxy::{Cut, Proxy};
pub(crate) use restarts::PostgresRestarts;
pub(crate) use volume::FullVolume;

use crate::dice::Dice;
use crate::load::Fleet;
use crate::place::Place;
use crate::servers::Servers;
use std::time::Duration;

/// Everything that a disturbance can lay its hands on.
pub(crate) struct Scene<'a> {
    pub(crate) place: &'a mut Place,
    pub(crate) servers: &'a mut Servers,
    pub(crate) fleet: &'a Fleet,
    pub(crate) dice: &'a mut Dice,
}

impl Scene<'_> {
    /// Lets things run for a random while, from so many to so many milliseconds.
    pub(crate) async fn pause(&mut self, from_ms: u64, to_ms: u64) {
        let more = self.dice.roll(to_ms.saturating_sub(from_ms));
        tokio::time::sleep(Duration::from_millis(from_ms.saturating_add(more))).await;
    }
}

/// Something that is done again and again.
pub(crate) trait Disturbance {
    /// Prepares the place, before any server runs.
    async fn prepare(&mut self, place: &mut Place) -> anyhow::Result<()>;

    /// Does its worst at a random moment, and makes it good again.
    async fn strike(&mut self, scene: &mut Scene<'_>) -> anyhow::Result<()>;

    /// Takes away what it brought to the place, whatever came of the trial.
    async fn clean_up(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// How often it has struck.
    fn count(&self) -> u32;

    /// The same in words.
    fn tally(&self) -> String;
}
