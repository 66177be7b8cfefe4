//! The machine's clock jumps, forwards and backwards, by libfaketime (`LD_PRELOAD`). The monotonic clock does
//! not: it never does.

use super::{Disturbance, Scene};
use crate::place::Place;
use crate::wire::Wire;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// How far the clock may be from the truth, in seconds: an hour, so that sessions outlive it.
const OFFSET_MAX: u64 = 3_600;

#[derive(Clone, Debug, Default)]
pub(crate) struct ClockJumps {
    jumps: u32,
    backwards: u32,
    offset: i64,
    file: PathBuf,
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

    /// A day ahead and back: nothing is tried if nobody notices.
    async fn must_be_noticed(&mut self, scene: &Scene<'_>) -> anyhow::Result<()> {
        let base = scene.fleet.any_base().context("no server runs")?;
        let before = Self::day(&base).await?;
        self.jump_to(86_400)?;
        let after = Self::day(&base).await?;
        anyhow::ensure!(before != after, "the server does not notice the clock: {after}");
        self.jump_to(0)
    }

    fn jump_to(&mut self, offset: i64) -> anyhow::Result<()> {
        self.offset = offset;
        // Replaced at once: the server must never read half a number.
        let half = self.file.with_extension("new");
        std::fs::write(&half, format!("{offset:+}\n"))?;
        Ok(std::fs::rename(half, &self.file)?)
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
        Ok(())
    }

    async fn strike(&mut self, scene: &mut Scene<'_>) -> anyhow::Result<()> {
        if self.jumps == 0 {
            self.must_be_noticed(scene).await?;
        }
        scene.pause(300, 1_000).await;
        let around = OFFSET_MAX.saturating_mul(2).saturating_add(1);
        let offset =
            i64::try_from(scene.dice.roll(around))?.saturating_sub(i64::try_from(OFFSET_MAX)?);
        self.backwards = self.backwards.saturating_add(u32::from(offset < self.offset));
        self.jump_to(offset)?;
        self.jumps = self.jumps.saturating_add(1);
        // Every fourth time a server starts while the clock is wrong.
        if scene.dice.roll(4) == 0 {
            scene.servers.kill(0, scene.fleet).await?;
            scene.servers.serve(0, scene.place, scene.fleet).await?;
        }
        Ok(())
    }

    fn count(&self) -> u32 {
        self.jumps
    }

    fn tally(&self) -> String {
        format!("{} jumps of the clock, {} of them backwards", self.jumps, self.backwards)
    }
}
