//! Amounts of money: integers of minor units, with their currency.

use crate::Currency;
use std::fmt;

/// An amount in the minor units of its currency: 25,000 is 250.00 in MAD, 25,000 in JPY and 25.000 in
/// TND. May be negative where a balance may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    minor_units: i64,
    currency: Currency,
}

/// Why two amounts could not be combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The amounts are in different currencies; convert one first.
    #[error("cannot combine {left} with {right}; convert one of them first")]
    CurrencyMismatch {
        /// The currency of the left amount.
        left: Currency,
        /// The currency of the right amount.
        right: Currency,
    },
    /// The result does not fit into 64 bits of minor units.
    #[error("the amount is too large to be represented")]
    Overflow,
    /// An allocation needs at least one share, none negative, not all zero.
    #[error("an allocation needs at least one positive share and no negative one")]
    InvalidShares,
}

impl Money {
    /// An amount of `minor_units` in `currency`.
    pub fn new(minor_units: i64, currency: Currency) -> Self {
        Self { minor_units, currency }
    }

    /// Nothing, in `currency`.
    pub fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The amount in minor units.
    pub fn minor_units(self) -> i64 {
        self.minor_units
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// The sum; refused across currencies or beyond 64 bits.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_add)
    }

    /// The difference; refused across currencies or beyond 64 bits.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_sub)
    }

    /// The amount with the other sign.
    pub fn checked_neg(self) -> Result<Self, MoneyError> {
        let minor_units = self.minor_units.checked_neg().ok_or(MoneyError::Overflow)?;
        Ok(Self::new(minor_units, self.currency))
    }

    /// Splits the amount in proportion to `shares` without losing or inventing a minor unit.
    ///
    /// Each part is first cut towards zero; the units left over go one each to the parts with the
    /// largest cut-off remainder, the earlier part first on a tie (largest remainder method).
    /// 100 by `[1, 1, 1]` is 34, 33, 33.
    pub fn allocate(self, shares: &[i64]) -> Result<Vec<Self>, MoneyError> {
        let total: i128 = shares.iter().map(|&share| i128::from(share)).sum();
        if total <= 0 || shares.iter().any(|&share| share < 0) {
            return Err(MoneyError::InvalidShares);
        }
        let overflow = || MoneyError::Overflow;
        let amount = i128::from(self.minor_units);
        // |amount| < 2^63 and |share| < 2^63, so a product is below 2^126 and fits into 127 bits.
        let mut parts = Vec::with_capacity(shares.len());
        let mut remainders = Vec::with_capacity(shares.len());
        let mut left_over = amount;
        for (index, &share) in shares.iter().enumerate() {
            let product = amount.checked_mul(i128::from(share)).ok_or_else(overflow)?;
            let part = product.checked_div(total).ok_or_else(overflow)?;
            let remainder = product.checked_rem(total).ok_or_else(overflow)?;
            left_over = left_over.checked_sub(part).ok_or_else(overflow)?;
            parts.push(part);
            remainders.push((remainder.unsigned_abs(), index));
        }
        remainders.sort_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(&right.1)));
        let unit = left_over.signum();
        // Every remainder is below `total`, so fewer than `shares.len()` units are left over.
        for &(_, index) in &remainders {
            if left_over == 0 {
                break;
            }
            parts[index] = parts[index].checked_add(unit).ok_or_else(overflow)?;
            left_over = left_over.checked_sub(unit).ok_or_else(overflow)?;
        }
        parts
            .into_iter()
            .map(|part| {
                let minor_units = i64::try_from(part).map_err(|_| MoneyError::Overflow)?;
                Ok(Self::new(minor_units, self.currency))
            })
            .collect()
    }

    fn combine(
        self,
        other: Self,
        operation: fn(i64, i64) -> Option<i64>,
    ) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch {
                left: self.currency,
                right: other.currency,
            });
        }
        let minor_units =
            operation(self.minor_units, other.minor_units).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(minor_units, self.currency))
    }
}

/// `250.00 MAD`, `25000 JPY`, `-0.005 TND`: for people and logs, never parsed back.
impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor_units < 0 { "-" } else { "" };
        let exponent = usize::try_from(self.currency.exponent()).unwrap_or(0);
        let digits =
            format!("{:0>1$}", self.minor_units.unsigned_abs(), exponent.saturating_add(1));
        let (major, minor) = digits.split_at(digits.len().saturating_sub(exponent));
        let point = if minor.is_empty() { "" } else { "." };
        write!(formatter, "{sign}{major}{point}{minor} {}", self.currency)
    }
}

#[cfg(test)]
mod tests;
