//! Another build of this program, measured in alternation: what a change costs.

use crate::report::{Report, Target};
use crate::{Args, Workload};
use anyhow::Context;
use clap::ValueEnum;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What a change may cost.
const LEAST: f64 = 0.95;

/// `other` is built like this program and has its server beside it. Each round measures it and this one;
/// the throughputs that both tell are compared.
pub(crate) fn measure(args: &Args, other: &Path, report: &mut Report) -> anyhow::Result<()> {
    let this = std::env::current_exe()?;
    let (mut these, mut others) = (BTreeMap::new(), BTreeMap::new());
    for round in 0..args.rounds {
        // Neither always has the warmer machine.
        let first_is_this = round % 2 == 0;
        for is_this in [first_is_this, !first_is_this] {
            let (program, rates) =
                if is_this { (this.as_path(), &mut these) } else { (other, &mut others) };
            run(args, program, rates)?;
        }
    }
    for (name, rates) in &these {
        let Some(before) = others.get(name) else { continue };
        // Names live as long as the report, which is as long as the program.
        let name: &'static str = name.clone().leak();
        report.compare(
            (name, rates),
            ("the other build", before),
            "transfers/s",
            Some(Target::AtLeast(LEAST)),
        );
    }
    Ok(())
}

/// As the command line has them.
fn names(workloads: &[Workload]) -> impl Iterator<Item = String> {
    let values = workloads.iter().filter_map(Workload::to_possible_value);
    values.map(|value| value.get_name().to_owned())
}

/// Adds one round's throughputs by name.
fn run(args: &Args, program: &Path, rates: &mut BTreeMap<String, Vec<f64>>) -> anyhow::Result<()> {
    let figures = tempfile::NamedTempFile::new()?;
    let mut command = Command::new(program);
    command.args(["--rounds", "1", "--seconds", &args.seconds.to_string()]);
    command.args(["--accounts", &args.accounts.to_string()]);
    command.args(["--connections", &args.connections.to_string()]);
    if let Some(url) = &args.postgres {
        command.args(["--postgres", url]);
    }
    command.arg("--json").arg(figures.path());
    command.args(names(&args.workloads));
    let status = command.stdout(std::process::Stdio::null()).status()?;
    anyhow::ensure!(status.success(), "{} ended badly: {status}", program.display());
    let report: Value = serde_json::from_slice(&std::fs::read(figures.path())?)?;
    let figures = report["figures"].as_array().context("the other build tells no figures")?;
    for figure in figures.iter().filter(|figure| figure["unit"] == "transfers/s") {
        if let (Some(name), Some(value)) = (figure["name"].as_str(), figure["value"].as_f64()) {
            rates.entry(name.to_owned()).or_default().push(value);
        }
    }
    Ok(())
}
