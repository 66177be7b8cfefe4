//! What identity closes before somebody leaves.

use async_trait::async_trait;
use identity_api::{Holdings, HoldingsError};
use kernel::UserId;
use wallet::Wallets;

/// The wallets of a user.
pub(crate) struct WalletHoldings(pub(crate) Wallets);

#[async_trait]
impl Holdings for WalletHoldings {
    async fn close(&self, user: UserId) -> Result<bool, HoldingsError> {
        let failed = |error: wallet::Error| HoldingsError(Box::new(error));
        self.0.close_wallets(user).await.map_err(failed)
    }
}
