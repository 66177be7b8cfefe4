//! Limits on what goes through an account, and what is used of them.

use kernel::{TimeZone, Timestamp};
use ledger_api::{
    AccountId, Direction, Hold, Limit, LimitUsage, Limits, LimitsInUse, Measure, Period, Refusal,
};
use std::ops::Range;

/// The limits of an account and what is used of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LimitedAccount {
    pub(crate) limits: Limits,
    /// One for each limit of a day or a month, and perhaps some for earlier limits.
    pub(crate) usages: Vec<Usage>,
}

/// What is used of a limit in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) direction: Direction,
    pub(crate) kind: Option<String>,
    pub(crate) period: Period,
    pub(crate) period_start: Timestamp,
    pub(crate) minor_units: i64,
    pub(crate) uses: i64,
    /// The journal's number of the change of limits from which it counts: what was held before was not
    /// counted, and is not given back.
    pub(crate) counts_from: i64,
    /// Whether this group changed it.
    pub(crate) changed: bool,
}

/// What a posting or a hold takes from the limits of one account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use<'a> {
    pub(super) account: AccountId,
    pub(super) kind: &'a str,
    pub(super) direction: Direction,
    /// All that is moved at once.
    pub(super) size: i64,
    /// What counts of it.
    pub(super) minor_units: i64,
    /// How often it counts: a hold and its captures are one transaction.
    pub(super) uses: i64,
}

impl LimitedAccount {
    /// The account with other limits by the change with this number. What was used in the present periods
    /// stays used, also when they begin at another instant in the new time zone.
    pub(crate) fn changed(
        before: Option<&Self>,
        limits: &Limits,
        now: Timestamp,
        sequence: i64,
    ) -> Self {
        let mut usages = Vec::new();
        let mut kept: &[Limit] = &[];
        if let Some(before) = before {
            if before.limits.time_zone == limits.time_zone {
                kept = &before.limits.limits;
            }
            usages.clone_from(&before.usages);
            for usage in &mut usages {
                let was = bounds(&before.limits.time_zone, usage.period, now);
                let is = bounds(&limits.time_zone, usage.period, now);
                if was.is_some_and(|was| was.start == usage.period_start)
                    && let Some(is) = is
                    && is.start != usage.period_start
                {
                    usage.period_start = is.start;
                    usage.changed = true;
                }
            }
        }
        let mut changed = Self { limits: limits.clone(), usages };
        for limit in &limits.limits {
            let Some(bounds) = bounds(&limits.time_zone, limit.period, now) else { continue };
            if !kept.iter().any(|one| one.is_about_the_same_as(limit)) {
                let usage = changed.usage_from(limit, bounds.start);
                usage.counts_from = sequence;
                usage.changed = true;
            }
        }
        changed
    }

    /// The usage of a limit in the period that begins then, none if it was used in another.
    fn usage_from(&mut self, limit: &Limit, period_start: Timestamp) -> &mut Usage {
        let at = self.usages.iter().position(|usage| usage.is_of(limit)).unwrap_or_else(|| {
            self.usages.push(Usage::none(limit, period_start));
            self.usages.len().saturating_sub(1)
        });
        let usage = &mut self.usages[at];
        if usage.period_start != period_start {
            let counts_from = usage.counts_from;
            *usage = Usage { counts_from, ..Usage::none(limit, period_start) };
        }
        usage
    }

    /// Refused if a limit would be exceeded.
    pub(super) fn check(&self, new: Use<'_>, now: Timestamp) -> Result<(), Refusal> {
        for limit in self.limits.limits.iter().filter(|limit| new.is_under(limit)) {
            let bounds = bounds(&self.limits.time_zone, limit.period, now);
            let used = bounds.as_ref().and_then(|bounds| self.usage(limit, bounds.start));
            let (minor_units, uses) = used.map_or((0, 0), |used| (used.minor_units, used.uses));
            let taken = if bounds.is_some() { new.minor_units } else { new.size };
            let exceeded = |measure, left: i64| Refusal::LimitExceeded {
                account: new.account,
                limit: Box::new(limit.clone()),
                measure,
                left: left.max(0),
                resets_at: bounds.as_ref().map(|bounds| bounds.end),
            };
            if let Some(most) = limit.minor_units
                && taken > most.saturating_sub(minor_units)
                && taken > 0
            {
                return Err(exceeded(Measure::Amount, most.saturating_sub(minor_units)));
            }
            if let Some(most) = limit.count
                && new.uses > most.saturating_sub(uses)
                && new.uses > 0
            {
                return Err(exceeded(Measure::Count, most.saturating_sub(uses)));
            }
        }
        Ok(())
    }

    /// Counts what was checked; or gives back what was counted for a hold, as far as it was and the period
    /// is still the same.
    pub(crate) fn count(&mut self, new: Use<'_>, since: Option<&Hold>, now: Timestamp) {
        self.each_counter(&new, now, |usage, bounds| match since {
            None => {
                usage.minor_units = usage.minor_units.saturating_add(new.minor_units);
                usage.uses = usage.uses.saturating_add(new.uses);
            }
            Some(hold)
                if bounds.contains(&hold.created_at) && usage.counts_from < hold.sequence =>
            {
                usage.minor_units = usage.minor_units.saturating_sub(new.minor_units).max(0);
                usage.uses = usage.uses.saturating_sub(new.uses).max(0);
            }
            Some(_) => {}
        });
    }

    fn each_counter(
        &mut self,
        new: &Use<'_>,
        now: Timestamp,
        mut change: impl FnMut(&mut Usage, &Range<Timestamp>),
    ) {
        // Out of the way of the usages that are changed meanwhile.
        let limits = std::mem::take(&mut self.limits);
        for limit in limits.limits.iter().filter(|limit| new.is_under(limit)) {
            let Some(bounds) = bounds(&limits.time_zone, limit.period, now) else { continue };
            let usage = self.usage_from(limit, bounds.start);
            change(usage, &bounds);
            usage.changed = true;
        }
        self.limits = limits;
    }

    fn usage(&self, limit: &Limit, period_start: Timestamp) -> Option<&Usage> {
        self.usages.iter().find(|usage| usage.is_of(limit) && usage.period_start == period_start)
    }

    pub(crate) fn in_use(&self, now: Timestamp) -> LimitsInUse {
        let in_use = |limit: &Limit| {
            let bounds = bounds(&self.limits.time_zone, limit.period, now);
            let used = bounds.as_ref().and_then(|bounds| self.usage(limit, bounds.start));
            LimitUsage {
                limit: limit.clone(),
                used_minor_units: used.map_or(0, |used| used.minor_units),
                used_count: used.map_or(0, |used| used.uses),
                resets_at: bounds.map(|bounds| bounds.end),
            }
        };
        LimitsInUse {
            time_zone: self.limits.time_zone.clone(),
            limits: self.limits.limits.iter().map(in_use).collect(),
        }
    }
}

impl Usage {
    fn none(limit: &Limit, period_start: Timestamp) -> Self {
        Self {
            direction: limit.direction,
            kind: limit.kind.clone(),
            period: limit.period,
            period_start,
            minor_units: 0,
            uses: 0,
            counts_from: 0,
            changed: false,
        }
    }

    fn is_of(&self, limit: &Limit) -> bool {
        (self.direction, self.period) == (limit.direction, limit.period) && self.kind == limit.kind
    }
}

impl Use<'_> {
    fn is_under(&self, limit: &Limit) -> bool {
        limit.direction == self.direction
            && limit.kind.as_deref().is_none_or(|kind| kind == self.kind)
    }
}

/// The period in which an instant lies; `None` for a single transaction.
fn bounds(zone: &TimeZone, period: Period, now: Timestamp) -> Option<Range<Timestamp>> {
    match period {
        Period::Transaction => None,
        Period::Day => Some(zone.day_of(now)),
        Period::Month => Some(zone.month_of(now)),
    }
}
