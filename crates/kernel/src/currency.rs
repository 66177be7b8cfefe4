//! ISO 4217 currencies.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A currency of ISO 4217 that has minor units: MAD, EUR, USD, JPY (none), TND (three decimals), …
///
/// Codes without minor units in the standard (gold, special drawing rights, test codes) are refused:
/// an amount in them could not be written as an integer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

/// The text is not the code of a currency that money can be held in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an ISO 4217 currency code with minor units, such as MAD, EUR or JPY")]
pub struct UnknownCurrency(pub String);

impl Currency {
    /// Moroccan dirham, two decimals.
    pub const MAD: Self = Self(iso_currency::Currency::MAD);
    /// Euro, two decimals.
    pub const EUR: Self = Self(iso_currency::Currency::EUR);
    /// US dollar, two decimals.
    pub const USD: Self = Self(iso_currency::Currency::USD);
    /// Pound sterling, two decimals.
    pub const GBP: Self = Self(iso_currency::Currency::GBP);
    /// Yen, no decimals.
    pub const JPY: Self = Self(iso_currency::Currency::JPY);
    /// Tunisian dinar, three decimals.
    pub const TND: Self = Self(iso_currency::Currency::TND);

    /// The three-letter code, upper case.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimals the major unit has: 2 for MAD, 0 for JPY, 3 for TND.
    pub fn exponent(self) -> u32 {
        // `from_str` admits only currencies that have one.
        self.0.exponent().map_or(0, u32::from)
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        iso_currency::Currency::from_code(code)
            .filter(|currency| currency.exponent().is_some() && currency.code() == code)
            .map(Self)
            .ok_or_else(|| UnknownCurrency(code.chars().take(16).collect()))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Currency {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.code().cmp(other.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        code.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_follow_iso_4217() {
        for (code, exponent) in
            [("MAD", 2), ("EUR", 2), ("USD", 2), ("GBP", 2), ("JPY", 0), ("TND", 3), ("KWD", 3)]
        {
            assert_eq!(code.parse::<Currency>().unwrap().exponent(), exponent, "{code}");
        }
    }

    #[test]
    fn codes_that_hold_no_money_are_refused() {
        // ISO 4217 has codes that are no money: XXX for none at all, XAU for gold, XTS for tests.
        for code in ["", "mad", "MA", "MADD", "ZZZ", "XXX", "XAU", "XTS", "MAD "] {
            assert!(code.parse::<Currency>().is_err(), "{code:?}");
        }
    }

    #[test]
    fn json_is_the_code() {
        assert_eq!(serde_json::to_string(&Currency::TND).unwrap(), "\"TND\"");
        assert_eq!(serde_json::from_str::<Currency>("\"TND\"").unwrap(), Currency::TND);
        assert!(serde_json::from_str::<Currency>("\"tnd\"").is_err());
    }
}
