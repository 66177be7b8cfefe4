//! Reads and refusals: what somebody saw of the books must be how they stood, then.

use super::bank::Bank;
use super::check::{Step, Violation};
use super::{History, Operation, Outcome, Read, Seen};

/// How many of those without a place are explained: each takes a walk over the whole journal.
const EXPLAINED_MAX: usize = 20;

/// Somebody saw something of the books.
#[derive(Clone, Copy, Debug)]
enum What<'a> {
    Read(&'a Read),
    /// A refusal tells how the books stood as well.
    Refusal(&'a Operation),
}

#[derive(Clone, Copy, Debug)]
struct Observation<'a> {
    what: What<'a>,
    begun: u64,
    ended: u64,
    /// How many steps of the journal had ended when it began: it sees at least those.
    from: usize,
    /// How many had begun when it ended: it sees at most those.
    to: usize,
}

/// Finds a place in the journal for each, the earliest that is possible; any two of which one ended before
/// the other began get places in that order. The earliest place leaves most to the ones that follow,
/// so if there is a way to place all of them, this one finds it.
pub(super) fn check(history: &History, steps: &[Step<'_>], violations: &mut Vec<Violation>) {
    let all = observations(history, steps);
    let mut places: Vec<Option<usize>> = vec![None; all.len()];
    let mut misfits = Vec::new();
    let mut coming = all.iter().enumerate().peekable();
    // Those that may see the present place and have none yet, in the order in which they began.
    let mut active: Vec<usize> = Vec::new();
    let mut bank = Bank::new(history.accounts, history.base_sequence);
    for place in 0..=steps.len() {
        while let Some((index, _)) = coming.next_if(|(_, one)| one.from <= place) {
            active.push(index);
        }
        // Of those that have no place yet, when the first one ended.
        let mut waits_for = u64::MAX;
        active.retain(|&index| {
            let one = &all[index];
            if waits_for >= one.begun && fits(&one.what, &bank) {
                places[index] = Some(place);
                return false;
            }
            if one.to <= place {
                misfits.push(index);
                return false;
            }
            waits_for = waits_for.min(one.ended);
            true
        });
        if let Some(step) = steps.get(place) {
            step.apply(&mut bank);
        }
    }
    misfits.extend(active);
    for &index in misfits.iter().take(EXPLAINED_MAX) {
        let one = all[index];
        let before = all.iter().zip(&places).filter(|(other, _)| other.ended < one.begun);
        let bound =
            before.filter_map(|(other, place)| Some(((*place)?, other))).max_by_key(|of| of.0);
        violations.push(explain(&one, bound, history, steps));
    }
    let more = misfits.len().saturating_sub(EXPLAINED_MAX);
    if more > 0 {
        violations.push(format!("{more} more reads and refusals are out of place"));
    }
}

/// In the order in which they began.
fn observations<'a>(history: &'a History, steps: &[Step<'_>]) -> Vec<Observation<'a>> {
    let reads = history.reads.iter().map(|read| (What::Read(read), read.begun, read.ended));
    let refused = history.operations.iter().filter_map(|operation| match operation.outcome {
        // The refusal was decided in the attempt that was answered with it.
        Outcome::Refused(_) => {
            Some((What::Refusal(operation), operation.last_begun, operation.ended))
        }
        Outcome::Recorded(_) => None,
    });
    let mut all: Vec<_> = reads.chain(refused).collect();
    all.sort_by_key(|(_, begun, _)| *begun);

    // When each step ended, with the number of steps that are seen with it; in time.
    let ended = |(count, step): (usize, &Step<'_>)| Some((step.operation?.ended, count));
    let mut ends: Vec<(u64, usize)> = (1..).zip(steps).filter_map(ended).collect();
    ends.sort_unstable();
    let mut ends = ends.into_iter().peekable();
    let mut from: usize = 0;
    // The latest beginning among the steps up to each.
    let latest: Vec<u64> = steps
        .iter()
        .scan(0_u64, |latest, step| {
            // What nobody asked for may have begun at any time.
            *latest = (*latest).max(step.operation.map_or(0, |operation| operation.begun));
            Some(*latest)
        })
        .collect();
    let place = |(what, begun, ended): (What<'a>, u64, u64)| {
        while let Some((_, count)) = ends.next_if(|(end, _)| *end < begun) {
            from = from.max(count);
        }
        let to = latest.partition_point(|latest| *latest <= ended);
        Observation { what, begun, ended, from, to }
    };
    all.into_iter().map(place).collect()
}

/// Whether the books stand as they were seen.
fn fits(what: &What<'_>, bank: &Bank) -> bool {
    match what {
        What::Refusal(operation) => match (&operation.outcome, bank.decide(&operation.request)) {
            (Outcome::Refused(told), Some(Err(due))) => *told == due,
            _ => false,
        },
        What::Read(read) => match &read.seen {
            Seen::Account { account, counters } => bank.counters(*account) == *counters,
            Seen::Balance { account, minor_units, as_of } => {
                bank.sequence == *as_of && bank.balance(*account) == *minor_units
            }
            Seen::Entries { account, newest, goes_on } => {
                let (all, count) = bank.newest(*account);
                all.starts_with(newest)
                    && *goes_on == (count > newest.len())
                    && (*goes_on || count == newest.len())
            }
            Seen::Transaction { id, line } => bank.transaction(*id) == line.as_ref(),
            Seen::Hold { id, state } => bank.hold(*id) == *state,
            Seen::Totals { debits, credits } => bank.totals() == (*debits, *credits),
        },
    }
}

/// Why there is no place for it.
fn explain(
    one: &Observation<'_>,
    bound: Option<(usize, &Observation<'_>)>,
    history: &History,
    steps: &[Step<'_>],
) -> Violation {
    let mut places = Vec::new();
    let mut bank = Bank::new(history.accounts, history.base_sequence);
    for place in 0..=steps.len() {
        if fits(&one.what, &bank) {
            places.push(place);
        }
        if let Some(step) = steps.get(place) {
            step.apply(&mut bank);
        }
    }
    let name = match one.what {
        What::Read(_) => "read",
        What::Refusal(_) => "refusal",
    };
    let inside = places.iter().any(|place| (one.from..=one.to).contains(place));
    let why = match (places.first(), places.last()) {
        (None, _) | (_, None) => "the books never stood like that".to_owned(),
        _ if inside => match bound {
            Some((place, other)) => format!(
                "it goes back in time: {:?} had ended before, and saw the books after {place} steps",
                other.what
            ),
            None => "it goes back in time".to_owned(),
        },
        (_, Some(last)) if *last < one.from => {
            "it is stale: the books had moved on before it began".to_owned()
        }
        (Some(first), _) if *first > one.to => {
            "it is ahead of time: the books stood like that only later".to_owned()
        }
        _ => "the books did not stand like that then".to_owned(),
    };
    format!(
        "{name} out of place: {why}. It could see {} to {} of {} steps; it fits after {:?}. {:?}",
        one.from,
        one.to,
        steps.len(),
        places.iter().take(5).collect::<Vec<_>>(),
        one.what
    )
}
