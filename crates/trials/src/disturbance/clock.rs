//! The machine's clock jumps, forwards and backwards, by libfaketime (`LD_PRELOAD`). The monotonic clock does
//! not: it never does. Nor does PostgreSQL's, which is not the program.

use super::{Disturbance, Scene};
use crate::place::Place;
use crate::wire::Wire;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Duration;
use time::OffsetDateTime;

const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// How far the clock jumps beyond where it has ever been, and how far behind the truth, at most; in seconds.
const AHEAD_MIN: u64 = 60;
const AHEAD_MAX: u64 = 1_800;
const BEHIND_MAX: i64 = 3_600;

#[derive(Clone, Debug, Default)]
pub(crate) struct ClockJumps {
    jumps: u32,
    ahead: u32,
    /// How far ahead of the truth the clock has ever been, in seconds: so far the journal is.
    furthest: i64,
    file: PathBuf,
    /// The time of a record that was made before all jumps, and when it had been seen.
    truth: Option<(OffsetDateTime, u64)>,
}

impl ClockJumps {
    fn library() -> Option<&'static str> {
        LIBRARIES.into_iter().find(|library| Path::new(library).exists())
    }

    /// What is missing on this machine.
    pub(crate) fn missing() -> Option<&'static str> {
        Self::library().is_none().then_some("libfaketime (apt-get install faketime)")
    }

    /// The day that a server believes it is.
    async fn day(base: &str) -> anyhow::Result<String> {
        // The header is made once a second.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let answer = Wire::new().send(base, None, "/health/live", None).await;
        let answer = answer.map_err(|error| anyhow::anyhow!("/health/live: {error:?}"))?;
        let date = answer.headers.get("date").context("no Date")?.to_str()?;
        Ok(date.chars().take("Mon, 23 Nov 2026".len()).collect())
    }

    /// A day ahead and back: nothing is tried if nobody notices. Not on the books of the trial: their journal
    /// would be a day ahead from then on, and no jump of the trial would reach it.
    async fn must_be_noticed(&self, place: &Place) -> anyhow::Result<()> {
        let server = place.serve_apart("clock-is-noticed").await?;
        let before = Self::day(&server.base).await?;
        self.jump_to(86_400)?;
        let after = Self::day(&server.base).await?;
        anyhow::ensure!(before != after, "the server does not notice the clock: {after}");
        self.jump_to(0)?;
        server.kill().await
    }

    fn jump_to(&self, offset: i64) -> anyhow::Result<()> {
        // Replaced at once: the server must never read half a number.
        let half = self.file.with_extension("new");
        std::fs::write(&half, format!("{offset:+}\n"))?;
        Ok(std::fs::rename(half, &self.file)?)
    }

    /// The journal must have followed a jump ahead that was made then.
    async fn must_be_recorded(
        &self,
        scene: &Scene<'_>,
        offset: i64,
        at: u64,
    ) -> anyhow::Result<()> {
        let (truth, seen_at) = self.truth.context("the first jump knows the truth")?;
        let since = Duration::from_nanos(at.saturating_sub(seen_at));
        let due = truth
            .checked_add(time::Duration::seconds(offset))
            .and_then(|due| due.checked_add(since.try_into().ok()?))
            .context("a clock out of range")?;
        let newest = scene.newest_recorded_at().await?;
        anyhow::ensure!(
            newest >= due,
            "the clock jumped to {offset} s, {due}, and the journal is still at {newest}"
        );
        Ok(())
    }
}

impl Disturbance for ClockJumps {
    async fn prepare(&mut self, place: &mut Place) -> anyhow::Result<()> {
        self.file = place.folder.path().join("clock");
        self.jump_to(0)?;
        place.set("LD_PRELOAD", Self::library().context("libfaketime is missing")?);
        place.set("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string());
        place.set("FAKETIME_NO_CACHE", "1");
        place.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        self.must_be_noticed(place).await
    }

    async fn strike(&mut self, scene: &mut Scene<'_>) -> anyhow::Result<()> {
        if self.truth.is_none() {
            scene.fleet.let_sessions_end();
            self.truth = Some((scene.newest_recorded_at().await?, scene.fleet.now()));
        }
        scene.pause(300, 1_000).await;
        // In turns ahead of all that the journal has seen, and back, where the journal's time must wait.
        let is_ahead = self.jumps.is_multiple_of(2);
        let offset = if is_ahead {
            let more = scene.dice.roll(AHEAD_MAX.saturating_sub(AHEAD_MIN));
            self.furthest.saturating_add(i64::try_from(more.saturating_add(AHEAD_MIN))?)
        } else {
            let sides = u64::try_from(self.furthest.saturating_add(BEHIND_MAX))?;
            i64::try_from(scene.dice.roll(sides))?.saturating_sub(BEHIND_MAX)
        };
        self.jump_to(offset)?;
        let at = scene.fleet.now();
        self.jumps = self.jumps.saturating_add(1);
        // Every third time a server starts while the clock is wrong; so both ahead and behind.
        if self.jumps.is_multiple_of(3) {
            scene.servers.kill(0, scene.fleet).await?;
            scene.servers.serve(0, scene.place, scene.fleet).await?;
        }
        scene.must_go_on(at).await?;
        if is_ahead && scene.fleet.goes_on() {
            self.must_be_recorded(scene, offset, at).await?;
            self.furthest = offset;
            self.ahead = self.ahead.saturating_add(1);
        }
        Ok(())
    }

    fn count(&self) -> u32 {
        self.jumps
    }

    fn tally(&self) -> String {
        format!(
            "{} jumps of the clock, of which {} ahead, which the journal followed, up to {} s",
            self.jumps, self.ahead, self.furthest
        )
    }
}
