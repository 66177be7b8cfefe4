//! Money from outside: charging a customer's card or bank account.

use async_trait::async_trait;
use kernel::Money;
use uuid::Uuid;

/// A card acquirer or bank that collects money for us.
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Collects an amount. The same `idempotency_key` again answers with the same charge and collects
    /// nothing more.
    async fn charge(&self, request: ChargeRequest) -> Result<Charge, PaymentGatewayError>;
}

/// What to collect.
#[derive(Clone, Debug)]
pub struct ChargeRequest {
    /// The caller's id of this charge, used again on a retry.
    pub idempotency_key: Uuid,
    /// How much.
    pub amount: Money,
    /// The gateway's name for the card or account to charge.
    pub payment_method: String,
}

/// A collected amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The gateway's reference, for reconciliation.
    pub reference: String,
}

/// Why nothing was collected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaymentGatewayError {
    /// The card or account was refused. Final for this charge.
    #[error("the payment was declined: {0}")]
    Declined(String),
    /// This installation collects no payments.
    #[error("no payment gateway is configured")]
    NotConfigured,
    /// No answer, or not an understandable one; the charge may exist. Try again with the same key.
    #[error("the payment gateway is unavailable: {0}")]
    Unavailable(String),
}

/// Sandbox: approves everything except the payment method `sandbox-declined`. Keeps nothing: the same
/// key gives the same reference because the reference is made from it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SandboxPaymentGateway;

impl SandboxPaymentGateway {
    /// The payment method that is always declined.
    pub const DECLINED: &'static str = "sandbox-declined";
}

#[async_trait]
impl PaymentGateway for SandboxPaymentGateway {
    async fn charge(&self, request: ChargeRequest) -> Result<Charge, PaymentGatewayError> {
        if request.payment_method == Self::DECLINED {
            return Err(PaymentGatewayError::Declined("the sandbox declines this method".into()));
        }
        Ok(Charge { reference: format!("sandbox_{}", request.idempotency_key.simple()) })
    }
}

/// For installations that take no payments: refuses every charge.
#[derive(Clone, Copy, Debug, Default)]
pub struct DisabledPaymentGateway;

#[async_trait]
impl PaymentGateway for DisabledPaymentGateway {
    async fn charge(&self, _: ChargeRequest) -> Result<Charge, PaymentGatewayError> {
        Err(PaymentGatewayError::NotConfigured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Currency;

    #[tokio::test]
    async fn the_sandbox_answers_a_retry_with_the_same_charge() {
        let request = |method: &str| ChargeRequest {
            idempotency_key: Uuid::from_u128(1),
            amount: Money::new(100, Currency::MAD),
            payment_method: method.into(),
        };
        let first = SandboxPaymentGateway.charge(request("card")).await.unwrap();
        assert_eq!(SandboxPaymentGateway.charge(request("card")).await, Ok(first));
        let declined = SandboxPaymentGateway.charge(request(SandboxPaymentGateway::DECLINED)).await;
        assert!(matches!(declined, Err(PaymentGatewayError::Declined(_))));
    }
}
