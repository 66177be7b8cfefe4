use super::bodies::{
    CreateWalletBody, OperationBody, TopUpBody, TransferBody, WalletBody, WalletTransactionBody,
};
use super::problems::{problem, refused};
use crate::operations::{Keyed, Settled};
use crate::{Error, Outcome, Wallet, WalletId, Wallets, permissions};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kernel::Permission;
use uuid::Uuid;
use web::{
    Authorized, FieldErrors, IdempotencyKey, Json, ListBody, OpenApiRouter, PageQuery, Path,
    Problem, Query, Replayed, Right, fingerprint, routes,
};

struct Read;
impl Right for Read {
    const PERMISSION: Option<Permission> = Some(permissions::READ);
}

struct Write;
impl Right for Write {
    const PERMISSION: Option<Permission> = Some(permissions::WRITE);
}

pub(crate) fn router(wallets: Wallets) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create_wallet, list_wallets))
        .routes(routes!(get_wallet))
        .routes(routes!(top_up))
        .routes(routes!(transfer))
        .routes(routes!(list_transactions))
        .with_state(wallets)
}

/// Open a wallet
///
/// Refused with `too_many_wallets` when the caller has 20.
#[utoipa::path(
    post, path = "/api/v1/wallets", tag = "Wallets", operation_id = "createWallet",
    security(("bearer" = ["wallet:write"])),
    request_body = CreateWalletBody,
    responses((status = 201, description = "The wallet is open.", body = WalletBody)),
)]
async fn create_wallet(
    State(wallets): State<Wallets>,
    Authorized { actor, .. }: Authorized<Write>,
    Json(body): Json<CreateWalletBody>,
) -> Result<(StatusCode, Json<WalletBody>), Problem> {
    let created = wallets.create_wallet(actor.user_id, &body.currencies).await;
    let wallet = created.map_err(|error| wallets.problem(error))?;
    Ok((StatusCode::CREATED, Json(wallets.body(&wallet).await?)))
}

/// List the caller's wallets, oldest first
#[utoipa::path(
    get, path = "/api/v1/wallets", tag = "Wallets", operation_id = "listWallets",
    security(("bearer" = ["wallet:read"])),
    params(PageQuery),
    responses((status = 200, description = "A page of wallets.", body = ListBody<WalletBody>)),
)]
async fn list_wallets(
    State(wallets): State<Wallets>,
    Authorized { actor, .. }: Authorized<Read>,
    Query(query): Query<PageQuery>,
) -> Result<Json<ListBody<WalletBody>>, Problem> {
    let page = query.into_request()?;
    let after = page.after.as_ref().map(|cursor| cursor.as_uuid()).transpose()?;
    let found = wallets.wallets(actor.user_id, after, page.limit).await;
    let found = found.map_err(|error| wallets.problem(error))?;
    let balances = wallets.balances(&found.items).await;
    let balances = balances.map_err(|error| wallets.problem(error))?;
    let none = Vec::new();
    let body = |wallet: Wallet| WalletBody::new(&wallet, balances.get(&wallet.id).unwrap_or(&none));
    Ok(Json(found.map(body).into()))
}

/// Read a wallet and its balances
#[utoipa::path(
    get, path = "/api/v1/wallets/{id}", tag = "Wallets", operation_id = "getWallet",
    security(("bearer" = ["wallet:read"])),
    params(("id" = Uuid, Path, description = "The wallet")),
    responses(
        (status = 200, description = "The wallet.", body = WalletBody),
        (status = 404, description = "The caller has no such wallet."),
    ),
)]
async fn get_wallet(
    State(wallets): State<Wallets>,
    Authorized { actor, .. }: Authorized<Read>,
    Path(id): Path<Uuid>,
) -> Result<Json<WalletBody>, Problem> {
    let wallet = wallets.wallet(actor.user_id, WalletId(id)).await;
    let wallet = wallet.map_err(|error| wallets.problem(error))?;
    Ok(Json(wallets.body(&wallet).await?))
}

/// Bring money in
///
/// Charges the payment method and credits the wallet. Refused with `currency_not_held`,
/// `wallet_not_active`, `payment_declined` or `top_ups_unavailable`; `idempotency_key_reused` when the key
/// was used for another request.
#[utoipa::path(
    post, path = "/api/v1/wallets/{id}/top-ups", tag = "Wallets", operation_id = "topUpWallet",
    security(("bearer" = ["wallet:write"])),
    params(
        ("id" = Uuid, Path, description = "The wallet"),
        ("Idempotency-Key" = String, Header, description = "Yours; repeat it when you retry",
            min_length = 1, max_length = 255),
    ),
    request_body = TopUpBody,
    responses(
        (status = 201, description = "The money is there.", body = OperationBody),
        (status = 404, description = "The caller has no such wallet."),
        (status = 409, description = "`idempotency_key_in_flight`: the same request is being worked on."),
    ),
)]
async fn top_up(
    State(wallets): State<Wallets>,
    Authorized { actor, .. }: Authorized<Write>,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    Json(body): Json<TopUpBody>,
) -> Result<Response, Problem> {
    let fingerprint = fingerprint(&format!("top_up {id}"), &body);
    let keyed = Keyed { caller: actor.user_id, key: &key.0, fingerprint: &fingerprint };
    let settled = wallets.top_up(&keyed, WalletId(id), body.into()).await;
    wallets.answer(settled)
}

/// Send money to somebody
///
/// By phone number, e-mail address or wallet id; whoever has several wallets receives on the oldest that
/// holds the currency. Refused, with nothing moved: `recipient_not_found`, `same_wallet`,
/// `wallet_not_active`, `currency_not_held`, `insufficient_funds`; `idempotency_key_reused` when the key
/// was used for another request.
#[utoipa::path(
    post, path = "/api/v1/wallets/{id}/transfers", tag = "Wallets", operation_id = "sendMoney",
    security(("bearer" = ["wallet:write"])),
    params(
        ("id" = Uuid, Path, description = "The wallet to send from"),
        ("Idempotency-Key" = String, Header, description = "Yours; repeat it when you retry",
            min_length = 1, max_length = 255),
    ),
    request_body = TransferBody,
    responses(
        (status = 201, description = "The money has moved.", body = OperationBody),
        (status = 401, description = "`unauthenticated`, or `insufficient_user_authentication`: a \
            large transfer needs a fresh authentication."),
        (status = 404, description = "The caller has no such wallet."),
        (status = 409, description = "`idempotency_key_in_flight`: the same request is being worked on."),
    ),
)]
async fn transfer(
    State(wallets): State<Wallets>,
    Authorized { actor, .. }: Authorized<Write>,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    Json(body): Json<TransferBody>,
) -> Result<Response, Problem> {
    let fingerprint = fingerprint(&format!("transfer {id}"), &body);
    let keyed = Keyed { caller: actor.user_id, key: &key.0, fingerprint: &fingerprint };
    let request = body.into_transfer().ok_or_else(no_recipient)?;
    if wallets.config.step_up.concerns(request.amount) {
        // A transfer that was begun is answered whatever has changed since.
        let is_begun = wallets.has_used(&keyed).await.map_err(|error| wallets.problem(error))?;
        let (max_age, now) = (wallets.config.step_up.max_age, wallets.deps.clock.now());
        if !is_begun {
            web::require_fresh(&actor, max_age, now)?;
        }
    }
    let settled = wallets.transfer(&keyed, WalletId(id), request).await;
    wallets.answer(settled)
}

/// List a wallet's transactions, newest first
#[utoipa::path(
    get, path = "/api/v1/wallets/{id}/transactions", tag = "Wallets",
    operation_id = "listWalletTransactions",
    security(("bearer" = ["wallet:read"])),
    params(("id" = Uuid, Path, description = "The wallet"), PageQuery),
    responses(
        (status = 200, description = "A page of transactions.",
            body = ListBody<WalletTransactionBody>),
        (status = 404, description = "The caller has no such wallet."),
    ),
)]
async fn list_transactions(
    State(wallets): State<Wallets>,
    Authorized { actor, .. }: Authorized<Read>,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Result<Json<ListBody<WalletTransactionBody>>, Problem> {
    let page = query.into_request()?;
    let after = page.after.as_ref().map(|cursor| cursor.as_uuid()).transpose()?;
    let lines = wallets.history(actor.user_id, WalletId(id), after, page.limit).await;
    let lines = lines.map_err(|error| wallets.problem(error))?;
    Ok(Json(lines.map(WalletTransactionBody::from).into()))
}

impl Wallets {
    fn problem(&self, error: Error) -> Problem {
        problem(error, self.deps.clock.now())
    }

    async fn body(&self, wallet: &Wallet) -> Result<WalletBody, Problem> {
        let balances = self.balances(std::slice::from_ref(wallet)).await;
        let mut balances = balances.map_err(|error| self.problem(error))?;
        Ok(WalletBody::new(wallet, &balances.remove(&wallet.id).unwrap_or_default()))
    }

    /// The answer to an operation: the same the first time and on every replay, but for the header.
    fn answer(&self, settled: Result<Settled, Error>) -> Result<Response, Problem> {
        let settled = settled.map_err(|error| self.problem(error))?;
        let replayed = Replayed(settled.replayed);
        Ok(match &settled.operation.outcome {
            Outcome::Completed => {
                let body = Json(OperationBody::from(settled.operation));
                (StatusCode::CREATED, replayed, body).into_response()
            }
            Outcome::Rejected(refusal) => (replayed, refused(refusal)).into_response(),
            Outcome::Pending => self.problem(Error::TookTooLong).into_response(),
        })
    }
}

fn no_recipient() -> Problem {
    let mut errors = FieldErrors::default();
    errors.add("/to", "must name a recipient");
    errors.into_problem()
}
