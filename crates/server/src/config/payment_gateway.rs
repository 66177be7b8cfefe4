//! Where top-ups come from.

use serde::Deserialize;

/// Where top-ups come from.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PaymentGateway {
    /// Sandbox in Development and disabled in Production, when not set.
    pub(crate) provider: Option<PaymentGatewayProvider>,
}

/// The payment gateways there are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentGatewayProvider {
    /// Approves everything; never in Production.
    Sandbox,
    /// Top-ups are refused.
    Disabled,
}
