//! Limits: what counted towards them is a list, and what is used of one is added up from it.

use super::{Reference, accounts_of, check_text, narrow, net};
use kernel::{TimeZone, Timestamp};
use ledger_api::{
    AccountId, Direction, Hold, Leg, Limit, LimitChange, LimitFault, LimitUsage, Limits,
    LimitsInUse, Measure, Period, Refusal,
};
use std::ops::Range;

#[derive(Clone, Debug)]
pub(super) enum LimitEvent {
    Set { sequence: i64, limits: Limits },
    Counted(Amount),
    GivenBack { amount: Amount, hold_sequence: i64, held_at: Timestamp },
}

/// What goes one way by transactions of a kind.
#[derive(Clone, Debug)]
pub(super) struct Amount {
    direction: Direction,
    kind: String,
    minor_units: i128,
    uses: i64,
}

impl Amount {
    fn is_under(&self, limit: &Limit) -> bool {
        limit.direction == self.direction
            && limit.kind.as_ref().is_none_or(|kind| *kind == self.kind)
    }
}

/// The part of the legs that one account has, unless it neither gains nor loses.
fn amount_on(
    reference: &Reference,
    account: AccountId,
    kind: &str,
    legs: &[Leg],
) -> Option<Amount> {
    let net = net(legs, &reference.account(account)?);
    let direction = if net < 0 { Direction::Outgoing } else { Direction::Incoming };
    let minor_units = net.abs();
    (net != 0).then(|| Amount { direction, kind: kind.to_owned(), minor_units, uses: 1 })
}

fn period_of(zone: &TimeZone, period: Period, at: Timestamp) -> Option<Range<Timestamp>> {
    match period {
        Period::Transaction => None,
        Period::Day => Some(zone.day_of(at)),
        Period::Month => Some(zone.month_of(at)),
    }
}

fn same(one: &Limit, other: &Limit) -> bool {
    (one.direction, one.period, &one.kind) == (other.direction, other.period, &other.kind)
}

impl Reference {
    pub(super) fn set_limits(&mut self, change: &LimitChange) -> Result<LimitsInUse, Refusal> {
        check_limits(&change.limits.limits)?;
        let account = change.account;
        self.account(account).ok_or(Refusal::AccountUnknown { account })?;
        if self.limits_of(account) != Some(&change.limits) {
            let at = self.recording_time();
            let sequence = self.record();
            let event = LimitEvent::Set { sequence, limits: change.limits.clone() };
            self.limit_events.push((account, at, event));
        }
        Ok(self.limits(account).unwrap())
    }

    fn limits_of(&self, account: AccountId) -> Option<&Limits> {
        let events = self.limit_events.iter().rev().filter(|(of, ..)| *of == account);
        events.into_iter().find_map(|(_, _, event)| match event {
            LimitEvent::Set { limits, .. } => Some(limits),
            LimitEvent::Counted(_) | LimitEvent::GivenBack { .. } => None,
        })
    }

    /// The limits of an account and what is used of them at present, which is the journal's present.
    pub(crate) fn limits(&self, account: AccountId) -> Option<LimitsInUse> {
        self.account(account)?;
        let limits = self.limits_of(account).cloned().unwrap_or_default();
        let usage = |limit: &Limit| {
            let (used_minor_units, used_count) = self.used(account, limit);
            let period = period_of(&limits.time_zone, limit.period, self.recording_time());
            LimitUsage {
                limit: limit.clone(),
                used_minor_units: narrow(used_minor_units),
                used_count,
                resets_at: period.map(|period| period.end),
            }
        };
        let in_use = limits.limits.iter().map(usage).collect();
        Some(LimitsInUse { time_zone: limits.time_zone, limits: in_use })
    }

    /// Goes through all that happened, with the present period at each time and what was used in it.
    ///
    /// Only what happens while a limit is set counts. What is used stays used when limits change, and the
    /// present period becomes the present one in the new time zone.
    fn used(&self, account: AccountId, limit: &Limit) -> (i128, i64) {
        let mut zone = TimeZone::UTC;
        let mut is_set = false;
        // From which record on the limit has been set, in this zone.
        let mut set_since = 0;
        let mut period = None;
        let (mut minor_units, mut uses) = (0, 0);
        for (_, at, event) in self.limit_events.iter().filter(|(of, ..)| *of == account) {
            let present = period_of(&zone, limit.period, *at);
            match event {
                LimitEvent::Set { sequence, limits } => {
                    if period == present {
                        period = period_of(&limits.time_zone, limit.period, *at);
                    }
                    let stays = is_set && zone == limits.time_zone;
                    is_set = limits.limits.iter().any(|one| same(one, limit));
                    if is_set && !stays {
                        set_since = *sequence;
                    }
                    zone = limits.time_zone.clone();
                }
                LimitEvent::Counted(amount) if is_set && amount.is_under(limit) => {
                    if period != present {
                        (period, minor_units, uses) = (present, 0, 0);
                    }
                    minor_units += amount.minor_units;
                    uses += amount.uses;
                }
                LimitEvent::GivenBack { amount, hold_sequence, held_at }
                    if is_set && amount.is_under(limit) =>
                {
                    let is_this_period = present.is_some_and(|present| present.contains(held_at));
                    if is_this_period && set_since < *hold_sequence {
                        minor_units = (minor_units - amount.minor_units).max(0);
                        uses = (uses - amount.uses).max(0);
                    }
                }
                LimitEvent::Counted(_) | LimitEvent::GivenBack { .. } => {}
            }
        }
        let present = period_of(&zone, limit.period, self.recording_time());
        if present.is_some() && period == present { (minor_units, uses) } else { (0, 0) }
    }

    /// A new movement, posted or held, on each account of it.
    pub(super) fn count_new(&mut self, kind: &str, legs: &[Leg]) -> Result<(), Refusal> {
        let accounts = accounts_of(legs).into_iter();
        let amounts = accounts.filter_map(|of| Some((of, amount_on(self, of, kind, legs)?)));
        let amounts: Vec<(AccountId, Amount)> = amounts.collect();
        for (account, amount) in &amounts {
            self.check_limits(*account, amount, amount.minor_units)?;
        }
        self.add_counted(amounts);
        Ok(())
    }

    /// What a capture takes beyond what it releases counts, but not as another transaction; what it
    /// releases beyond what it takes is given back.
    pub(super) fn count_captured(
        &mut self,
        hold: &Hold,
        taken: &[Leg],
        released: &[Leg],
    ) -> Result<(), Refusal> {
        let mut more = Vec::new();
        let mut less = Vec::new();
        for account in accounts_of(taken) {
            let taken = amount_on(self, account, &hold.kind, taken);
            let released = amount_on(self, account, &hold.kind, released);
            let (Some(taken), Some(released)) = (taken, released) else { continue };
            let minor_units = taken.minor_units - released.minor_units;
            if minor_units > 0 {
                let size = taken.minor_units;
                let amount = Amount { minor_units, uses: 0, ..taken };
                self.check_limits(account, &amount, size)?;
                more.push((account, amount));
            } else {
                less.push((account, Amount { minor_units: -minor_units, uses: 0, ..taken }));
            }
        }
        self.add_counted(more);
        self.add_given_back(hold, less);
        Ok(())
    }

    /// What is let go of a hold; as one transaction less when nothing was captured.
    pub(super) fn give_back(&mut self, hold: &Hold, released: &[Leg], is_unused: bool) {
        let accounts = accounts_of(released).into_iter();
        let amounts = accounts.filter_map(|account| {
            let amount = amount_on(self, account, &hold.kind, released)?;
            Some((account, Amount { uses: i64::from(is_unused), ..amount }))
        });
        self.add_given_back(hold, amounts.collect());
    }

    fn add_counted(&mut self, amounts: Vec<(AccountId, Amount)>) {
        let at = self.recording_time();
        for (account, amount) in amounts {
            self.limit_events.push((account, at, LimitEvent::Counted(amount)));
        }
    }

    fn add_given_back(&mut self, hold: &Hold, amounts: Vec<(AccountId, Amount)>) {
        let at = self.recording_time();
        for (account, amount) in amounts {
            let (hold_sequence, held_at) = (hold.sequence, hold.created_at);
            let event = LimitEvent::GivenBack { amount, hold_sequence, held_at };
            self.limit_events.push((account, at, event));
        }
    }

    fn check_limits(&self, account: AccountId, amount: &Amount, size: i128) -> Result<(), Refusal> {
        let limits = self.limits_of(account).cloned().unwrap_or_default();
        for limit in limits.limits.iter().filter(|limit| amount.is_under(limit)) {
            let (used, uses) = self.used(account, limit);
            let period = period_of(&limits.time_zone, limit.period, self.recording_time());
            let exceeded = |measure, left: i128| Refusal::LimitExceeded {
                account,
                limit: Box::new(limit.clone()),
                measure,
                left: narrow(left.max(0)),
                resets_at: period.clone().map(|period| period.end),
            };
            let asked = if period.is_some() { amount.minor_units } else { size };
            if let Some(most) = limit.minor_units.map(i128::from)
                && used + asked > most
            {
                return Err(exceeded(Measure::Amount, most - used));
            }
            if let Some(most) = limit.count
                && amount.uses > 0
                && uses + amount.uses > most
            {
                return Err(exceeded(Measure::Count, (most - uses).into()));
            }
        }
        Ok(())
    }
}

fn check_limits(limits: &[Limit]) -> Result<(), Refusal> {
    let refused = |fault| Err(Refusal::LimitsInvalid(fault));
    if limits.len() > 20 {
        return refused(LimitFault::TooMany);
    }
    for (index, limit) in limits.iter().enumerate() {
        if limit.kind.as_ref().is_some_and(|kind| check_text("kind", kind, 1, 64).is_err()) {
            return refused(LimitFault::Kind(index));
        }
        let says_nothing = limit.minor_units.is_none() && limit.count.is_none();
        let is_negative = limit.minor_units.unwrap_or(0) < 0 || limit.count.unwrap_or(0) < 0;
        let counts_one = limit.period == Period::Transaction && limit.count.is_some();
        if says_nothing || is_negative || counts_one {
            return refused(LimitFault::Measures(index));
        }
        if limits[..index].iter().any(|earlier| same(earlier, limit)) {
            return refused(LimitFault::Twice(index));
        }
    }
    Ok(())
}
