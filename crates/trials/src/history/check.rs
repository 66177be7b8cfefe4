//! Whether a history is strictly serialisable, in time that is linear in it.
//!
//! The journal's own order is the order in which everything is claimed to have happened, so it need not be
//! searched for. What is left to check:
//!
//! - **The journal**: no gap, no record twice, none that nobody asked for, each with exactly the content
//!   that was asked for, batches whole and in one piece.
//! - **The answers**: what was acknowledged is there, at the place and with the content that was told; what
//!   was refused for good is not.
//! - **The rules**: carried out in the journal's order by the [`Bank`], each record is what the
//!   bank would have made of its request then, and no account has less than nothing after any. That debits
//!   equal credits follows: each record has both sides, of one amount.
//! - **Real time**: what ended before something else began stands before it.
//! - **Reads and refusals**: each fits the books as they stood at one place of the journal, between the last
//!   write that had ended when it began and the first that began after it had ended; and the
//!   places of any two of which one ended before the other began are in that order.

use super::bank::Bank;
use super::observations;
use super::{History, Line, Operation, Outcome};
use std::collections::HashMap;
use uuid::Uuid;

/// What is wrong, in words, with what it is about.
pub(crate) type Violation = String;

/// What violations begin with that are about acknowledged records that are gone.
pub(crate) const LOST: &str = "lost";

/// One operation's stretch of the journal, or a record that nobody asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) operation: Option<&'a Operation>,
    pub(super) lines: &'a [Line],
}

impl Step<'_> {
    /// Takes the books over it.
    pub(super) fn apply(&self, bank: &mut Bank) {
        bank.apply(self.operation.map(|operation| &operation.request), self.lines);
    }
}

/// Everything that is wrong with the history; nothing when it is strictly serialisable.
pub(crate) fn check(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let asked = asked_for(history, &mut violations);
    check_journal(history, &mut violations);
    check_answers(history, &mut violations);
    let steps = steps(history, &asked, &mut violations);
    check_real_time(&steps, &mut violations);
    check_rules(history, &steps, &mut violations);
    observations::check(history, &steps, &mut violations);
    violations
}

/// Who asked for each record.
fn asked_for<'a>(
    history: &'a History,
    violations: &mut Vec<Violation>,
) -> HashMap<Uuid, &'a Operation> {
    let mut asked = HashMap::new();
    for operation in &history.operations {
        for id in operation.request.ids() {
            if asked.insert(id, operation).is_some() {
                violations.push(format!("the trial itself is at fault: {id} was asked for twice"));
            }
        }
    }
    asked
}

fn check_journal(history: &History, violations: &mut Vec<Violation>) {
    let mut last = history.base_sequence;
    let mut seen = HashMap::new();
    for line in &history.journal {
        if line.sequence != last.saturating_add(1) {
            violations
                .push(format!("gap: {} follows {last} in the journal, at {line:?}", line.sequence));
        }
        last = line.sequence;
        if let Some(before) = seen.insert(line.id, line.sequence) {
            violations.push(format!("doubled: {} stands at {before} and again: {line:?}", line.id));
        }
    }
}

fn check_answers(history: &History, violations: &mut Vec<Violation>) {
    let lines: HashMap<Uuid, &Line> = history.journal.iter().map(|line| (line.id, line)).collect();
    for operation in &history.operations {
        let ids = operation.request.ids();
        match &operation.outcome {
            Outcome::Recorded(told) => {
                if !told.iter().map(|line| &line.id).eq(&ids) {
                    violations.push(format!("the answer is about other records: {operation:?}"));
                }
                for told in told {
                    let (id, sequence) = (told.id, told.sequence);
                    match lines.get(&id) {
                        None => violations.push(format!(
                            "{LOST}: {id} was acknowledged and is not in the journal: {operation:?}"
                        )),
                        Some(line) if line.sequence != sequence => violations.push(format!(
                            "moved: {id} was acknowledged at {sequence} and stands at {}: {operation:?}",
                            line.sequence
                        )),
                        Some(line) if *line != told => violations.push(format!(
                            "told otherwise: {id} was acknowledged as {told:?} and stands as {line:?}"
                        )),
                        Some(_) => {}
                    }
                }
            }
            Outcome::Refused(_) => {
                for id in ids.iter().filter(|id| lines.contains_key(id)) {
                    violations.push(format!(
                        "refused and recorded: {id} is in the journal, and was refused for good: \
                         {operation:?}"
                    ));
                }
            }
        }
    }
}

/// The journal cut into what each operation recorded.
fn steps<'a>(
    history: &'a History,
    asked: &HashMap<Uuid, &'a Operation>,
    violations: &mut Vec<Violation>,
) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    let mut rest = history.journal.as_slice();
    while let Some(first) = rest.first() {
        let Some(&operation) = asked.get(&first.id) else {
            violations.push(format!("phantom: nobody asked for {first:?}"));
            let (lines, others) = rest.split_at(1);
            steps.push(Step { operation: None, lines });
            rest = others;
            continue;
        };
        let ids = operation.request.ids();
        let together = rest.iter().zip(&ids).take_while(|(line, id)| line.id == **id).count();
        if together < ids.len() {
            violations.push(format!(
                "torn: of the {} records of one request, {together} stand together at {}: \
                 {operation:?}",
                ids.len(),
                first.sequence
            ));
        }
        let (lines, others) = rest.split_at(together.max(1));
        steps.push(Step { operation: Some(operation), lines });
        rest = others;
    }
    steps
}

/// Nothing stands before what had ended when it began.
fn check_real_time(steps: &[Step<'_>], violations: &mut Vec<Violation>) {
    // Of all later steps, the one that ended first.
    let mut earliest: Option<&Operation> = None;
    for operation in steps.iter().rev().filter_map(|step| step.operation) {
        if let Some(later) = earliest
            && later.ended < operation.begun
        {
            violations.push(format!(
                "reordered: {later:?} had ended before {operation:?} began, and stands behind it"
            ));
        }
        if earliest.is_none_or(|later| operation.ended < later.ended) {
            earliest = Some(operation);
        }
    }
}

/// The bank would have recorded the same.
fn check_rules(history: &History, steps: &[Step<'_>], violations: &mut Vec<Violation>) {
    let mut bank = Bank::new(history.accounts, history.base_sequence);
    for step in steps {
        // A phantom was told of before.
        if let Some(operation) = step.operation {
            let (request, lines) = (&operation.request, step.lines);
            match bank.decide(request) {
                Some(Ok(expected)) if expected == *lines => {}
                expected => violations.push(format!(
                    "against the rules: {request:?} is recorded as {lines:?}, where {expected:?} was due"
                )),
            }
        }
        let was_covered = bank.is_covered();
        step.apply(&mut bank);
        if was_covered && !bank.is_covered() {
            violations.push(format!("an account has less than nothing after {:?}", step.lines));
        }
    }
}
