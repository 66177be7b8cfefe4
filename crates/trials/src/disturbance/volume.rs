//! A volume that is really full: a small file system in memory, filled up under load. Mounting needs root.

use super::{Disturbance, Scene, TOLD_WITHIN};
use crate::place::Place;
use crate::process::{must_run, run};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::process::Command;

const SIZE: &str = "size=96m";

/// How long servers may need to end.
const UNUSED_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct FullVolume {
    strikes: u32,
    folder: PathBuf,
    is_mounted: bool,
}

impl FullVolume {
    /// What is missing on this machine.
    pub(crate) async fn missing() -> anyhow::Result<Option<&'static str>> {
        // Not even root may everywhere.
        let folder = tempfile::tempdir()?;
        let mut mount = Command::new("mount");
        let may = run(mount.args(["-t", "tmpfs", "tmpfs"]).arg(folder.path())).await?.0;
        if may {
            must_run(Command::new("umount").arg(folder.path())).await?;
        }
        Ok((!may).then_some("the right to mount a file system (run it as root)"))
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// Takes what is left, to the last block.
    fn fill(&self) -> anyhow::Result<()> {
        let mut ballast = File::options().create(true).append(true).open(self.ballast())?;
        let block = vec![0; 4_096];
        loop {
            match ballast.write_all(&block) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Nothing stays mounted, whatever went wrong.
impl Drop for FullVolume {
    fn drop(&mut self) {
        if self.is_mounted {
            // It goes as soon as those that use it are gone.
            drop(std::process::Command::new("umount").arg("-l").arg(&self.folder).status());
        }
    }
}

impl Disturbance for FullVolume {
    async fn prepare(&mut self, place: &mut Place) -> anyhow::Result<()> {
        self.folder = place.data_dir();
        std::fs::create_dir_all(&self.folder)?;
        let mount = ["-t", "tmpfs", "-o", SIZE, "tmpfs"];
        must_run(Command::new("mount").args(mount).arg(&self.folder)).await?;
        self.is_mounted = true;
        Ok(())
    }

    async fn strike(&mut self, scene: &mut Scene<'_>) -> anyhow::Result<()> {
        // A good end takes the log away. The next one is small and must grow with every write; an old one
        // is used again from its beginning, and has room for long.
        scene.servers.restart(0, scene.place, scene.fleet).await?;
        scene.pause(100, 500).await;
        self.fill()?;
        let full_at = scene.fleet.now();
        let begun = Instant::now();
        while !scene.fleet.is_unavailable_since(full_at) && scene.fleet.goes_on() {
            anyhow::ensure!(begun.elapsed() < TOLD_WITHIN, "nobody noticed the full volume");
            // What was let go meanwhile.
            self.fill()?;
            scene.pause(10, 50).await;
        }
        scene.pause(50, 500).await;
        std::fs::remove_file(self.ballast())?;
        let emptied_at = scene.fleet.now();
        scene.must_go_on(emptied_at).await?;
        self.strikes = self.strikes.saturating_add(1);
        Ok(())
    }

    async fn clean_up(&mut self, place: &Place, keep: bool) -> anyhow::Result<()> {
        if !self.is_mounted {
            return Ok(());
        }
        if keep {
            let copy = place.folder.path().join("data-of-the-volume");
            must_run(Command::new("cp").arg("-a").arg(&self.folder).arg(copy)).await?;
        }
        // Servers that were killed a moment ago may still be going.
        let begun = Instant::now();
        while !run(Command::new("umount").arg(&self.folder)).await?.0 {
            anyhow::ensure!(begun.elapsed() < UNUSED_WITHIN, "the volume is still in use");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.is_mounted = false;
        Ok(())
    }

    fn count(&self) -> u32 {
        self.strikes
    }

    fn tally(&self) -> String {
        format!("the volume was full {} times, and the same process went on", self.strikes)
    }
}
