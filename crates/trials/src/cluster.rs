//! A PostgreSQL server of the trial's own, from whatever version is installed, on a free port of 127.0.0.1.

use crate::process::{end_of, must_run, run, signal};
use anyhow::Context;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// The cluster and, while it runs, its postmaster.
#[derive(Debug)]
pub(crate) struct Cluster {
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    /// PostgreSQL refuses to run as root.
    is_root: bool,
    postmaster: Option<Child>,
}

impl Cluster {
    /// Makes a cluster in the folder and starts it.
    pub(crate) async fn make(folder: &Path) -> anyhow::Result<Self> {
        let is_root = must_run(Command::new("id").arg("-u")).await?.trim() == "0";
        std::fs::create_dir_all(folder)?;
        if is_root {
            must_run(Command::new("chown").arg("postgres").arg(folder)).await?;
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut cluster =
            Self { bin: installed()?, folder: folder.to_owned(), port, is_root, postmaster: None };
        let data = cluster.data();
        must_run(
            cluster
                .command("initdb")
                .arg("-D")
                .arg(data)
                .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"])
                .arg("--no-sync"),
        )
        .await?;
        cluster.start().await?;
        Ok(cluster)
    }

    pub(crate) fn url(&self) -> String {
        self.url_at(self.port)
    }

    /// The same database behind another port.
    pub(crate) fn url_at(&self, port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/postgres")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts the postmaster and waits until it takes connections, recovery included.
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.try_start().await? {
            anyhow::ensure!(
                begun.elapsed() < START_MAX,
                "PostgreSQL does not start: {:?}",
                end_of(&self.log())
            );
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// False when the postmaster ends at once, as it does while a child of the one before still lives.
    async fn try_start(&mut self) -> anyhow::Result<bool> {
        let log = std::fs::File::options().create(true).append(true).open(self.log())?;
        let port = self.port.to_string();
        let mut postmaster = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"])
            // Recovery would sync every file apart, which takes seconds; once for all does as well.
            .args(["-c", "recovery_init_sync_method=syncfs", "-c", "unix_socket_directories="])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let waiting = async {
            loop {
                let mut ask = self.command("pg_isready");
                if run(ask.args(["-q", "-h", "127.0.0.1", "-p", &port])).await?.0 {
                    return Ok(true);
                }
                if postmaster.try_wait()?.is_some() {
                    return anyhow::Ok(false);
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let runs =
            tokio::time::timeout(START_MAX, waiting).await.context("PostgreSQL is not ready")??;
        self.postmaster = runs.then_some(postmaster);
        Ok(runs)
    }

    /// SIGKILL to the postmaster and all its children at once, as if the machine had lost its mind but not
    /// its memory.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut postmaster) = self.postmaster.take() else { return Ok(()) };
        let pid = postmaster.id().context("PostgreSQL has ended")?;
        // While it stands still it gets no children and buries none: each id is that of who is meant.
        signal("-STOP", &[pid]).await?;
        until("the postmaster does not stop", || !is_stopped(pid)).await?;
        let mut all = children_of(pid)?;
        all.push(pid);
        signal("-KILL", &all).await?;
        postmaster.wait().await?;
        until("children of the postmaster live on", || all.iter().any(|pid| is_alive(*pid))).await
    }

    /// Ends sessions at once and stops in good order.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut postmaster) = self.postmaster.take() else { return Ok(()) };
        let pid = postmaster.id().context("PostgreSQL has ended")?;
        // SIGINT is the "fast" way.
        signal("-INT", &[pid]).await?;
        let ended = tokio::time::timeout(STOP_MAX, postmaster.wait()).await;
        ended.with_context(|| format!("PostgreSQL does not end: {:?}", end_of(&self.log())))??;
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = if self.is_root {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
                .arg(program)
                .current_dir(&self.folder);
            command
        } else {
            Command::new(program)
        };
        command.kill_on_drop(true);
        command
    }
}

/// Waits as long as something is so, which must not be for long.
async fn until(otherwise: &'static str, is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    while is_so() {
        anyhow::ensure!(begun.elapsed() < STOP_MAX, otherwise);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// The newest installed PostgreSQL.
fn installed() -> anyhow::Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        for version in versions {
            let version = version?;
            let number = version.file_name().to_string_lossy().parse().unwrap_or(0);
            let bin = version.path().join("bin");
            if bin.join("postgres").exists() {
                found.push((number, bin));
            }
        }
    }
    found.sort();
    // Elsewhere than on Debian it is in the PATH, where an empty folder leaves it to be found.
    Ok(found.pop().map(|(_, bin)| bin).unwrap_or_default())
}

fn children_of(parent: u32) -> anyhow::Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Ok(pid) = name.to_string_lossy().parse() else { continue };
        if status_of(pid).is_some_and(|(_, of)| of == parent) {
            children.push(pid);
        }
    }
    Ok(children)
}

/// Whether the process runs; one that only waits to be buried does not.
fn is_alive(pid: u32) -> bool {
    status_of(pid).is_some_and(|(state, _)| !["Z", "X"].contains(&state.as_str()))
}

/// Whether a signal holds the process.
fn is_stopped(pid: u32) -> bool {
    status_of(pid).is_none_or(|(state, _)| state == "T")
}

/// The state of a process and its parent.
fn status_of(pid: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
