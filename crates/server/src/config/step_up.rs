//! What needs a fresh authentication.

use kernel::Currency;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What needs a fresh authentication.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StepUpSettings {
    /// How long an authentication is fresh.
    pub(crate) max_age_seconds: u64,
    /// Transfers above these amounts in minor units, such as `"1000000 MAD"`, need one; in other
    /// currencies all do.
    pub(crate) transfers_above: Vec<String>,
}

impl Default for StepUpSettings {
    fn default() -> Self {
        let wallet::StepUp { max_age, above } = wallet::StepUp::default();
        let amounts = above.iter().map(|(currency, amount)| format!("{amount} {currency}"));
        Self { max_age_seconds: max_age.as_secs(), transfers_above: amounts.collect() }
    }
}

impl StepUpSettings {
    /// What keeps the program from starting with these settings.
    pub(super) fn refusals(&self) -> Vec<String> {
        let wrong = self.transfers_above.iter().filter(|text| amount(text).is_none());
        wrong
            .map(|text| {
                format!(
                    "step_up.transfers_above has \"{text}\", which is not an amount in minor units \
                     and a currency such as \"1000000 MAD\""
                )
            })
            .collect()
    }

    /// How long an authentication is fresh.
    pub(crate) fn max_age(&self) -> Duration {
        Duration::from_secs(self.max_age_seconds)
    }

    /// What it means for transfers.
    pub(crate) fn of_wallets(&self) -> wallet::StepUp {
        // What is not an amount was refused at the start.
        let above: BTreeMap<_, _> =
            self.transfers_above.iter().filter_map(|text| amount(text)).collect();
        wallet::StepUp { max_age: self.max_age(), above }
    }
}

fn amount(text: &str) -> Option<(Currency, i64)> {
    let (amount, currency) = text.split_once(' ')?;
    let amount: i64 = amount.parse().ok().filter(|amount| *amount >= 0)?;
    Some((currency.parse().ok()?, amount))
}
