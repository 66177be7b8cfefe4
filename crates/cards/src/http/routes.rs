use super::bodies::{CardNumberBody, CardTokenBody, FindTokenBody, TokenReasonBody, TokenizeBody};
use super::problems::problem;
use crate::{Cards, permissions};
use axum::extract::State;
use axum::http::StatusCode;
use kernel::{Actor, Permission};
use web::{Authorized, Json, OpenApiRouter, Problem, Right, require_fresh, routes};

struct Tokenize;
impl Right for Tokenize {
    const PERMISSION: Option<Permission> = Some(permissions::TOKENIZE);
}

struct Detokenize;
impl Right for Detokenize {
    const PERMISSION: Option<Permission> = Some(permissions::DETOKENIZE);
}

struct Delete;
impl Right for Delete {
    const PERMISSION: Option<Permission> = Some(permissions::DELETE);
}

pub(crate) fn router(cards: Cards) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(tokenize))
        .routes(routes!(find_token))
        .routes(routes!(detokenize))
        .routes(routes!(delete_number))
        .with_state(cards)
}

impl Cards {
    fn require_fresh(&self, actor: &Actor) -> Result<(), Problem> {
        require_fresh(actor, self.0.config.step_up_max_age, self.0.deps.clock.now())
    }
}

/// Put a card number into the vault
///
/// The same number always gets the same token, so asking again is safe.
#[utoipa::path(
    post, path = "/api/v1/cards/tokens", tag = "Cards", operation_id = "tokenizeCardNumber",
    security(("bearer" = ["cards:tokenize"])),
    request_body = TokenizeBody,
    responses(
        (status = 201, description = "A new token.", body = CardTokenBody),
        (status = 200, description = "The token that the number has.", body = CardTokenBody),
        (status = 409, description = "`no_card_token_left`."),
    ),
)]
async fn tokenize(
    State(cards): State<Cards>,
    Authorized { actor, .. }: Authorized<Tokenize>,
    Json(body): Json<TokenizeBody>,
) -> Result<(StatusCode, Json<CardTokenBody>), Problem> {
    let number = body.into_number()?;
    let made = cards.tokenize(actor.user_id, &number).await.map_err(problem)?;
    let status = if made.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(made.stored.into())))
}

/// Look up a token
#[utoipa::path(
    post, path = "/api/v1/cards/tokens/search", tag = "Cards", operation_id = "findCardToken",
    security(("bearer" = ["cards:tokenize"])),
    request_body = FindTokenBody,
    responses(
        (status = 200, description = "What is known of it, without its number.", body = CardTokenBody),
        (status = 404, description = "`not_found`."),
    ),
)]
async fn find_token(
    State(cards): State<Cards>,
    _caller: Authorized<Tokenize>,
    Json(body): Json<FindTokenBody>,
) -> Result<Json<CardTokenBody>, Problem> {
    Ok(Json(cards.find(&body.token()?).await.map_err(problem)?.into()))
}

/// Learn the card number of a token
///
/// Needs a fresh authentication. Who asked for which token, and why, is in the audit trail.
#[utoipa::path(
    post, path = "/api/v1/admin/cards/tokens/detokenize", tag = "Cards",
    operation_id = "detokenizeCardNumber",
    security(("bearer" = ["cards:detokenize"])),
    request_body = TokenReasonBody,
    responses(
        (status = 200, description = "The card number.", body = CardNumberBody),
        (status = 401, description = "`insufficient_user_authentication`: see \
            `POST /api/v1/auth/reauthenticate`."),
        (status = 404, description = "`not_found`."),
        (status = 409, description = "`card_number_deleted`."),
    ),
)]
async fn detokenize(
    State(cards): State<Cards>,
    Authorized { actor, .. }: Authorized<Detokenize>,
    Json(body): Json<TokenReasonBody>,
) -> Result<Json<CardNumberBody>, Problem> {
    cards.require_fresh(&actor)?;
    let number = cards.detokenize(actor.user_id, &body.token()?, &body.reason).await;
    Ok(Json((&number.map_err(problem)?).into()))
}

/// Delete the card number of a token, for good
///
/// Needs a fresh authentication. The token stays, and never stands for another number.
#[utoipa::path(
    post, path = "/api/v1/admin/cards/tokens/delete", tag = "Cards", operation_id = "deleteCardNumber",
    security(("bearer" = ["cards:delete"])),
    request_body = TokenReasonBody,
    responses(
        (status = 200, description = "It is gone.", body = CardTokenBody),
        (status = 401, description = "`insufficient_user_authentication`: see \
            `POST /api/v1/auth/reauthenticate`."),
        (status = 404, description = "`not_found`."),
        (status = 409, description = "`card_number_deleted`: it was gone already."),
    ),
)]
async fn delete_number(
    State(cards): State<Cards>,
    Authorized { actor, .. }: Authorized<Delete>,
    Json(body): Json<TokenReasonBody>,
) -> Result<Json<CardTokenBody>, Problem> {
    cards.require_fresh(&actor)?;
    let deleted = cards.delete(actor.user_id, &body.token()?, &body.reason).await;
    Ok(Json(deleted.map_err(problem)?.into()))
}
