//! System calls of the server that fail, by libfiu (`LD_PRELOAD`), switched on and off while it runs.
//!
//! SQLite is the only part of the program that calls `pwrite64` and `fsync`, so what is hit is the databases
//! and nothing else.

use super::{Disturbance, Scene};
use crate::place::Place;
use anyhow::Context;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const LIBRARIES: [&str; 2] =
    ["/usr/lib/fiu/fiu_run_preload.so", "/usr/lib/fiu/fiu_posix_preload.so"];

/// How long libfiu may take to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InjectedFault {
    /// No write has room: ENOSPC.
    DiskFull,
    /// No fsync succeeds: EIO.
    FailingSync,
}

impl InjectedFault {
    /// libfiu's names, and the error number.
    fn point(self) -> (&'static str, u32) {
        match self {
            Self::DiskFull => ("posix/io/rw/pwrite", 28),
            Self::FailingSync => ("posix/io/sync/fsync", 5),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Injected {
    fault: InjectedFault,
    strikes: u32,
    kills: u32,
}

impl Injected {
    pub(crate) fn new(fault: InjectedFault) -> Self {
        Self { fault, strikes: 0, kills: 0 }
    }

    /// What is missing on this machine.
    pub(crate) fn missing() -> Option<&'static str> {
        let is_there = LIBRARIES.iter().all(|library| std::path::Path::new(library).exists());
        (!is_there).then_some("libfiu (apt-get install fiu-utils)")
    }

    /// Lets the servers of the place be remote-controlled.
    pub(crate) fn preload(place: &mut Place) {
        place.set("LD_PRELOAD", LIBRARIES.join(" "));
        place.set("FIU_CTRL_FIFO", place.folder.path().join("fiu").display().to_string());
    }

    /// Switches the fault on or off in a running server.
    pub(crate) async fn switch(
        fault: InjectedFault,
        place: &Place,
        pid: u32,
        on: bool,
    ) -> anyhow::Result<()> {
        let (name, number) = fault.point();
        let command = match on {
            true => format!("enable name={name},failinfo={number}\n"),
            false => format!("disable name={name}\n"),
        };
        let pipe = |end: &str| -> PathBuf { place.folder.path().join(format!("fiu-{pid}.{end}")) };
        let talk = async {
            let mut to = tokio::fs::OpenOptions::new().write(true).open(pipe("in")).await?;
            to.write_all(command.as_bytes()).await?;
            to.shutdown().await?;
            drop(to);
            tokio::fs::read_to_string(pipe("out")).await
        };
        let reply = tokio::time::timeout(ANSWERED_WITHIN, talk)
            .await
            .context("libfiu does not answer")?
            .context("libfiu is not in the server")?;
        anyhow::ensure!(reply.trim() == "0", "libfiu answered {reply:?} to {command:?}");
        Ok(())
    }
}

impl Disturbance for Injected {
    async fn prepare(&mut self, place: &mut Place) -> anyhow::Result<()> {
        Self::preload(place);
        Ok(())
    }

    async fn strike(&mut self, scene: &mut Scene<'_>) -> anyhow::Result<()> {
        scene.pause(200, 800).await;
        let pid = *scene.servers.pids()?.first().context("no server runs")?;
        Self::switch(self.fault, scene.place, pid, true).await?;
        let broken_at = scene.fleet.now();
        scene.pause(50, 500).await;
        scene.must_be_told(broken_at).await?;
        // Every third time it dies of it, and what it leaves in its files is what the next one finds. Else the
        // same process goes on, as after the last time.
        let dies = self.strikes % 3 == 1 && !scene.is_last;
        if dies {
            scene.servers.kill(0, scene.fleet).await?;
            scene.servers.serve(0, scene.place, scene.fleet).await?;
            self.kills = self.kills.saturating_add(1);
        } else {
            Self::switch(self.fault, scene.place, pid, false).await?;
        }
        let healed_at = scene.fleet.now();
        scene.must_go_on(healed_at).await?;
        self.strikes = self.strikes.saturating_add(1);
        Ok(())
    }

    fn count(&self) -> u32 {
        self.strikes
    }

    fn tally(&self) -> String {
        format!(
            "{} times {:?}, {} of them ended by SIGKILL, after the others the same process went on",
            self.strikes, self.fault, self.kills
        )
    }
}
