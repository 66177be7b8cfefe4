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
use crate::load::codec::{instant, items};
use crate::load::{Caller, Fleet, Notes};
use crate::place::Place;
use crate::servers::Servers;
use anyhow::Context;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// How long a fault may go unnoticed.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// How long a server may need to go on once a fault has ended.
const HEALED_WITHIN: Duration = Duration::from_secs(60);

/// Everything that a disturbance can lay its hands on.
pub(crate) struct Scene<'a> {
    pub(crate) place: &'a mut Place,
    pub(crate) servers: &'a mut Servers,
    pub(crate) fleet: &'a Fleet,
    pub(crate) dice: &'a mut Dice,
    /// Whether the trial ends after this strike.
    pub(crate) is_last: bool,
}

impl Scene<'_> {
    /// Lets things run for a random while, from so many to so many milliseconds.
    pub(crate) async fn pause(&mut self, from_ms: u64, to_ms: u64) {
        let more = self.dice.roll(to_ms.saturating_sub(from_ms));
        tokio::time::sleep(Duration::from_millis(from_ms.saturating_add(more))).await;
    }

    /// Waits until a client was told since then that an outcome is unknown: a fault that nobody feels is none.
    pub(crate) async fn must_be_told(&self, since: u64) -> anyhow::Result<()> {
        self.within(TOLD_WITHIN, "nobody was told", || self.fleet.is_unavailable_since(since)).await
    }

    /// Waits until each server has recorded something that was asked for since then.
    pub(crate) async fn must_go_on(&mut self, since: u64) -> anyhow::Result<()> {
        let what = "not every server goes on by itself";
        self.within(HEALED_WITHIN, what, || self.fleet.is_recording_since(since)).await?;
        self.fleet.all_is_well();
        self.servers.must_live()
    }

    async fn within(
        &self,
        time: Duration,
        otherwise: &'static str,
        is_so: impl Fn() -> bool,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        // Clients end early when they have found something: that is then what matters.
        while !is_so() && self.fleet.goes_on() {
            anyhow::ensure!(begun.elapsed() < time, "{otherwise}, for {} s", time.as_secs());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The time of the journal.
    pub(crate) async fn newest_recorded_at(&self) -> anyhow::Result<OffsetDateTime> {
        let asked =
            Caller::new(self.fleet, 0).ask("/api/v1/ledger/transactions?limit=1", None).await?;
        let newest = items(&asked.answer.body)?.first().context("an empty journal")?;
        instant(&newest["recordedAt"])
    }
}

/// Something that is done again and again.
pub(crate) trait Disturbance {
    /// Prepares the place, before any server runs.
    async fn prepare(&mut self, place: &mut Place) -> anyhow::Result<()>;

    /// Does its worst at a random moment, and makes it good again.
    async fn strike(&mut self, scene: &mut Scene<'_>) -> anyhow::Result<()>;

    /// Takes away what it brought to the place, whatever came of the trial; with `keep`, not without leaving a
    /// copy of what lies there to be looked at.
    async fn clean_up(&mut self, _: &Place, _keep: bool) -> anyhow::Result<()> {
        Ok(())
    }

    /// Whether, in the end, everything was felt that it says it did.
    fn was_felt(&self, _: &Notes) -> anyhow::Result<()> {
        Ok(())
    }

    /// How often it has struck.
    fn count(&self) -> u32;

    /// The same in words.
    fn tally(&self) -> String;
}
