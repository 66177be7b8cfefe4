//! Processes of the trial: started here, ended here, by their ids.

use anyhow::Context;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long a server may take until it is ready, or to end well.
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(60);

/// A serving `finitech`. Its log goes to a file.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:…`.
    pub(crate) base: String,
    // Kept open, so that the server never writes into a closed pipe.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        command.stdout(Stdio::piped()).stderr(file).kill_on_drop(true);
        let mut child = command.spawn().context("cannot start finitech")?;
        let mut stdout = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let ready = tokio::time::timeout(START_MAX, stdout.next_line())
            .await
            .context("the server is not ready")??;
        let base = ready.as_deref().and_then(harness::base_of).map(str::to_owned);
        let base = base.with_context(|| format!("the server did not start: {:?}", end_of(log)))?;
        Ok(Self { child, base, _stdout: stdout })
    }

    /// SIGKILL: no chance to clean up.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// SIGTERM, and a good end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        signal("-TERM", &[self.pid()?]).await?;
        let status = tokio::time::timeout(STOP_MAX, self.child.wait())
            .await
            .context("the server does not stop")??;
        anyhow::ensure!(status.success(), "the server ended badly: {status}");
        Ok(())
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the server has ended")
    }
}

/// The last lines of a log, which may be gone with its folder when somebody wants to look.
pub(crate) fn end_of(log: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let mut end: Vec<String> = log.lines().rev().take(8).map(str::to_owned).collect();
    end.reverse();
    end
}

/// Sends a signal to processes, all at once.
pub(crate) async fn signal(name: &str, pids: &[u32]) -> anyhow::Result<()> {
    // Some may have ended meanwhile; whoever must know looks.
    Command::from(harness::signal(name, pids)).stderr(Stdio::null()).status().await?;
    Ok(())
}

/// Runs a program to its end: whether it succeeded, and everything that it printed.
pub(crate) async fn run(command: &mut Command) -> anyhow::Result<(bool, String)> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok((output.status.success(), text))
}

/// Runs a program that must succeed.
pub(crate) async fn must_run(command: &mut Command) -> anyhow::Result<String> {
    let (success, text) = run(command).await?;
    anyhow::ensure!(success, "{:?} failed: {text}", command.as_std());
    Ok(text)
}
