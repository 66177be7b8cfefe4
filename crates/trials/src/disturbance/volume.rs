//! A volume that is really full: a small file system in memory, filled up under load. Mounting needs root.

use super::{Disturbance, Scene};
use crate::place::Place;
use crate::process::{must_run, run};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::process::Command;

const SIZE: &str = "size=96m";
const NOTICED_WITHIN: Duration = Duration::from_secs(20);

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

/// Nothing stays mounted when a trial is stopped.
impl Drop for FullVolume {
    fn drop(&mut self) {
        if self.is_mounted {
            // Those that used it have just been killed; it goes as soon as they are gone.
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
        let refused = scene.fleet.unavailable_answers();
        let begun = Instant::now();
        while scene.fleet.unavailable_answers() == refused {
            anyhow::ensure!(begun.elapsed() < NOTICED_WITHIN, "nobody noticed the full volume");
            self.fill()?;
            scene.pause(10, 50).await;
        }
        scene.pause(50, 500).await;
        std::fs::remove_file(self.ballast())?;
        self.strikes = self.strikes.saturating_add(1);
        Ok(())
    }

    async fn clean_up(&mut self) -> anyhow::Result<()> {
        must_run(Command::new("umount").arg(&self.folder)).await?;
        self.is_mounted = false;
        Ok(())
    }

    fn count(&self) -> u32 {
        self.strikes
    }

    fn tally(&self) -> String {
        format!("the volume was full {} times", self.strikes)
    }
}
