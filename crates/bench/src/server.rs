//! The real program as a child process, and what the system knows about it.

use crate::Args;
use crate::database::{Database, Place};
use anyhow::Context;
use harness::Setting;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    // Kept open, so that the server never writes into a closed pipe.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts with the demo world, which has an administrator.
    pub(crate) fn start(
        args: &Args,
        place: &Place,
        environment: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let environment = environment.iter().map(|(name, value)| (name, value));
        let mut child = command(args, place)?.envs(environment).stdout(Stdio::piped()).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut ready = String::new();
        stdout.read_line(&mut ready)?;
        let base = harness::base_of(&ready).context("the server did not start")?;
        let address = base.trim_start_matches("http://").parse()?;
        Ok(Self { child, address, _stdout: stdout })
    }

    /// Processor seconds used so far.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may hold spaces; user and system time are fields 14 and 15.
        let (_, fields) = stat.rsplit_once(')').context("an unknown form of /proc/PID/stat")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        let ticks: u32 = ticks.collect::<Result<Vec<_>, _>>()?.into_iter().sum();
        Ok(f64::from(ticks) / TICKS_PER_SECOND)
    }

    /// The memory that is resident, and the most that ever was, in MB. The most is often that of
    /// the password hashes: 64 MiB each by design, given back afterwards.
    pub(crate) fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let megabytes = |name: &str| -> anyhow::Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number =
                line.and_then(|rest| rest.split_whitespace().next()).context("no memory")?;
            Ok(number.parse::<f64>()? * 1_024.0 / 1_000_000.0)
        };
        Ok((megabytes("VmRSS:")?, megabytes("VmHWM:")?))
    }

    /// SIGTERM, and the end of the process.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        harness::signal("-TERM", &[self.child.id()]).status()?;
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "the server ended badly: {status}");
        Ok(())
    }
}

/// A process whose bench fails must not go on for ever.
impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What Linux counts processor time in, on every architecture it runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

/// `finitech ledger verify`; `Err` with what it printed when something is wrong.
pub(crate) fn verify(args: &Args, place: &Place) -> anyhow::Result<Result<(), String>> {
    let output = command(args, place)?.args(["ledger", "verify"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    eprint!("  {text}");
    Ok(if output.status.success() { Ok(()) } else { Err(text) })
}

fn command(args: &Args, place: &Place) -> anyhow::Result<Command> {
    let program = match &args.server {
        Some(program) => program.clone(),
        None => harness::program_beside_this()?,
    };
    let (data_dir, url) = (place.data_dir(), place.postgres().map(Database::url));
    let setting = Setting {
        folder: place.folder(),
        data_dir: &data_dir,
        database_url: url.as_deref(),
        log_level: "warn",
    };
    Ok(harness::command(&program, setting))
}
