//! What identity asks before somebody leaves.

use async_trait::async_trait;
use identity_api::{Holdings, HoldingsError};
use kernel::{PageLimit, UserId};
use wallet::Wallets;

/// Looks into the wallets of a user.
pub(crate) struct WalletHoldings(pub(crate) Wallets);

#[async_trait]
impl Holdings for WalletHoldings {
    async fn holds_money(&self, user: UserId) -> Result<bool, HoldingsError> {
        let failed = |error: wallet::Error| HoldingsError(Box::new(error));
        // Nobody has more wallets than fit a page.
        let page = self.0.wallets(user, None, PageLimit::default()).await.map_err(failed)?;
        let balances = self.0.balances(&page.items).await.map_err(failed)?;
        Ok(balances.values().flatten().any(|one| one.balance != 0))
    }
}
