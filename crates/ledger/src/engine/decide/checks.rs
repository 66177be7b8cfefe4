//! What can be said of a command by itself.

use kernel::Currency;
use ledger_api::{
    DESCRIPTION_CHARS_MAX, KIND_CHARS_MAX, LEGS_MAX, LIMITS_MAX, Leg, LimitFault, Limits, Period,
    REFERENCE_CHARS_MAX, Refusal, Side,
};

/// The texts of a transaction or a hold.
pub(super) fn check_texts(
    kind: &str,
    description: Option<&str>,
    reference: Option<&str>,
) -> Result<(), Refusal> {
    check_text("kind", kind, 1, KIND_CHARS_MAX)?;
    check_text("description", description.unwrap_or_default(), 0, DESCRIPTION_CHARS_MAX)?;
    check_text("reference", reference.unwrap_or_default(), 0, REFERENCE_CHARS_MAX)
}

/// The database would refuse such a text as well, but with it the whole group.
pub(super) fn check_text(
    field: &'static str,
    text: &str,
    min: usize,
    max: usize,
) -> Result<(), Refusal> {
    if is_text(text, min, max) {
        return Ok(());
    }
    Err(Refusal::TextInvalid { field, min, max })
}

fn is_text(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.chars().count()) && !text.contains('\0')
}

/// How many legs there are, and that each has an amount.
pub(super) fn check_shape(legs: &[Leg]) -> Result<(), Refusal> {
    if !(2..=LEGS_MAX).contains(&legs.len()) {
        return Err(Refusal::LegCount { count: legs.len() });
    }
    match legs.iter().position(|leg| leg.amount.minor_units() <= 0) {
        Some(leg) => Err(Refusal::AmountNotPositive { leg }),
        None => Ok(()),
    }
}

/// Debits equal credits in each currency.
pub(super) fn check_sums(legs: &[Leg]) -> Result<(), Refusal> {
    // Few currencies meet in one transaction: a list is faster than a map.
    let mut sums: Vec<(Currency, i128, i128)> = Vec::with_capacity(2);
    for leg in legs {
        let currency = leg.amount.currency();
        let at = sums.iter().position(|(known, ..)| *known == currency).unwrap_or_else(|| {
            sums.push((currency, 0, 0));
            sums.len().saturating_sub(1)
        });
        let sum = match leg.direction {
            Side::Debit => &mut sums[at].1,
            Side::Credit => &mut sums[at].2,
        };
        // At most LEGS_MAX amounts of 63 bits each.
        *sum = sum.saturating_add(i128::from(leg.amount.minor_units()));
    }
    match sums.into_iter().find(|(_, debits, credits)| debits != credits) {
        Some((currency, debits, credits)) => Err(Refusal::Unbalanced { currency, debits, credits }),
        None => Ok(()),
    }
}

/// That limits make sense and do not contradict each other.
pub(super) fn check_limits(limits: &Limits) -> Result<(), Refusal> {
    let limits = &limits.limits;
    if limits.len() > LIMITS_MAX {
        return Err(Refusal::LimitsInvalid(LimitFault::TooMany));
    }
    for (index, limit) in limits.iter().enumerate() {
        let measures = [limit.minor_units, limit.count];
        let is_counted_once = limit.period == Period::Transaction && limit.count.is_some();
        let fault = if limit.kind.as_deref().is_some_and(|kind| !is_text(kind, 1, KIND_CHARS_MAX)) {
            LimitFault::Kind(index)
        } else if measures == [None, None]
            || measures.iter().flatten().any(|most| *most < 0)
            || is_counted_once
        {
            LimitFault::Measures(index)
        } else if limits[..index].iter().any(|earlier| earlier.is_about_the_same_as(limit)) {
            LimitFault::Twice(index)
        } else {
            continue;
        };
        return Err(Refusal::LimitsInvalid(fault));
    }
    Ok(())
}
