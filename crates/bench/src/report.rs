//! The figures, as a table for people and JSON for programs.

use crate::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// One line of the table.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) baseline: Option<Baseline>,
    pub(crate) target: Option<Target>,
}

/// What a figure is compared with, measured in the same run.
pub(crate) struct Baseline {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) ratio: f64,
}

/// What the ratio, or the value where there is no baseline, should be.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

pub(crate) struct Report {
    store: &'static str,
    settings: Value,
    figures: Vec<Figure>,
    problems: Vec<String>,
}

impl Report {
    pub(crate) fn new(store: &'static str, args: &Args) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let settings = json!({
            "accounts": args.accounts,
            "connections": args.connections,
            "seconds": args.seconds,
            "rounds": args.rounds,
            "cores": cores,
        });
        Self { store, settings, figures: Vec::new(), problems: Vec::new() }
    }

    pub(crate) fn add(&mut self, figure: Figure) {
        eprintln!("  {}", figure.line());
        self.figures.push(figure);
    }

    /// A figure and its baseline: the medians of the rounds, and the median of their ratios.
    pub(crate) fn compare(
        &mut self,
        (name, values): (&'static str, &[f64]),
        (baseline, baselines): (&'static str, &[f64]),
        unit: &'static str,
        target: Option<Target>,
    ) {
        let ratios: Vec<f64> =
            values.iter().zip(baselines).map(|(value, base)| value / base).collect();
        self.add(Figure {
            name,
            value: median(values),
            unit,
            baseline: Some(Baseline {
                name: baseline,
                value: median(baselines),
                ratio: median(&ratios),
            }),
            target,
        });
    }

    pub(crate) fn plain(&mut self, name: &'static str, value: f64, unit: &'static str) {
        self.add(Figure { name, value, unit, baseline: None, target: None });
    }

    pub(crate) fn bounded(
        &mut self,
        name: &'static str,
        value: f64,
        unit: &'static str,
        target: Target,
    ) {
        self.add(Figure { name, value, unit, baseline: None, target: Some(target) });
    }

    /// Something that must not be.
    pub(crate) fn problem(&mut self, what: String) {
        eprintln!("  WRONG: {what}");
        self.problems.push(what);
    }

    /// Whether every ledger was sound and every answer the expected one. Missed targets are no matter of
    /// soundness.
    pub(crate) fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn table(&self) -> String {
        let mut table = format!(
            "\n{} {}\n\n| figure | value | baseline | ratio | target | |\n|---|---|---|---|---|---|\n",
            self.store, self.settings
        );
        for figure in &self.figures {
            table.push_str(&figure.line());
            table.push('\n');
        }
        table.push('\n');
        match self.problems.as_slice() {
            [] => table.push_str("every ledger verified, every answer as expected\n"),
            problems => {
                // Writing to a string cannot fail.
                writeln!(table, "WRONG:\n  {}", problems.join("\n  ")).unwrap();
            }
        }
        table
    }

    pub(crate) fn json(&self) -> String {
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        let all = json!({
            "store": self.store,
            "settings": self.settings,
            "figures": figures,
            "problems": self.problems,
        });
        format!("{all:#}\n")
    }
}

impl Figure {
    /// What the target is about.
    fn measured(&self) -> f64 {
        self.baseline.as_ref().map_or(self.value, |baseline| baseline.ratio)
    }

    fn is_met(&self) -> Option<bool> {
        self.target.map(|target| match target {
            Target::AtLeast(least) => self.measured() >= least,
            Target::AtMost(most) => self.measured() <= most,
        })
    }

    fn line(&self) -> String {
        let (base, ratio) = self.baseline.as_ref().map_or_else(Default::default, |baseline| {
            let value = number(baseline.value);
            (format!("{}: {value}", baseline.name), format!("{:.2}", baseline.ratio))
        });
        let target = self.target.map_or_else(String::new, |target| match target {
            Target::AtLeast(least) => format!(">= {}", number(least)),
            Target::AtMost(most) => format!("<= {}", number(most)),
        });
        let met = match self.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        let value = number(self.value);
        format!("| {} | {value} {} | {base} | {ratio} | {target} | {met} |", self.name, self.unit)
    }

    fn json(&self) -> Value {
        let target = self.target.map(|target| match target {
            Target::AtLeast(least) => json!({ "atLeast": least }),
            Target::AtMost(most) => json!({ "atMost": most }),
        });
        json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "baseline": self.baseline.as_ref().map(|one| json!({
                "name": one.name, "value": one.value, "ratio": one.ratio,
            })),
            "target": target,
            "met": self.is_met(),
        })
    }
}

/// Whole numbers with separators where they are large, else a few decimals.
fn number(value: f64) -> String {
    if value < 100.0 {
        let text = format!("{value:.3}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The value in the middle, or the mean of the two there; of none, not a number.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len().saturating_sub(1) / 2..=sorted.len() / 2;
    sorted.get(middle).map_or(f64::NAN, |both| both.iter().sum::<f64>() / both.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn of_two_rounds_neither_is_the_median() {
        assert!(median(&[]).is_nan());
        assert_eq!(median(&[3.0]).to_bits(), 3.0_f64.to_bits());
        assert_eq!(median(&[1.0, 3.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median(&[9.0, 1.0, 3.0]).to_bits(), 3.0_f64.to_bits());
    }
}
