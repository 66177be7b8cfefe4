//! Limits on what goes through an account.

use super::problems::problem;
use super::routes::Read;
use super::trail::{Books, Deed, Writer};
use crate::Ledger;
use axum::extract::State;
use kernel::{TimeZone, Timestamp};
use ledger_api::{
    AccountId, Direction, KIND_CHARS_MAX, LIMITS_MAX, Ledger as _, Limit, LimitChange, LimitUsage,
    Limits, LimitsInUse, Period,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Authorized, FieldErrors, Json, OpenApiRouter, Path, Problem, Validate, routes};

pub(super) fn router() -> OpenApiRouter<Books> {
    OpenApiRouter::new().routes(routes!(get_limits, set_limits))
}

/// Which way the money goes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum DirectionBody {
    Incoming,
    Outgoing,
}

/// The time over which a limit sums up; a day and a month begin at midnight in the account's time zone.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum PeriodBody {
    Transaction,
    Day,
    Month,
}

/// One limit: how much, and how often, in a period.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LimitBody {
    direction: DirectionBody,
    /// Only transactions of this kind; any when left out.
    #[schema(min_length = 1, max_length = 64, example = "wallet.transfer")]
    kind: Option<String>,
    period: PeriodBody,
    /// The most in the period.
    #[schema(minimum = 0, maximum = 9007199254740991_i64, example = 500000)]
    amount_minor_units: Option<i64>,
    /// The most transactions in the period; not for `transaction`.
    #[schema(minimum = 0, example = 20)]
    count: Option<i64>,
}

/// The limits of an account.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SetLimitsBody {
    /// Where its days and months begin; UTC when left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Africa/Casablanca")]
    time_zone: TimeZone,
    /// Up to 20, no two for the same direction, kind and period. Empty for none.
    #[schema(max_items = 20)]
    limits: Vec<LimitBody>,
}

/// The limits of an account and what is used of them.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LimitsBody {
    #[schema(value_type = String, example = "Africa/Casablanca")]
    time_zone: TimeZone,
    limits: Vec<LimitUsageBody>,
}

/// A limit and what is used of it in the present period.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LimitUsageBody {
    direction: DirectionBody,
    kind: Option<String>,
    period: PeriodBody,
    amount_minor_units: Option<i64>,
    count: Option<i64>,
    used_minor_units: i64,
    used_count: i64,
    /// When the next period begins.
    #[schema(value_type = Option<String>, format = DateTime)]
    resets_at: Option<Timestamp>,
}

impl Validate for SetLimitsBody {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.require(self.limits.len() <= LIMITS_MAX, "/limits", "must have at most 20 limits");
        for (index, limit) in self.limits.iter().take(LIMITS_MAX).enumerate() {
            let at = |member: &str| format!("/limits/{index}/{member}");
            if let Some(kind) = &limit.kind {
                errors.require_text(kind, 1, KIND_CHARS_MAX, &at("kind"));
            }
            if let Some(minor_units) = limit.amount_minor_units
                && minor_units != 0
            {
                errors.require_amount(minor_units, &at("amountMinorUnits"));
            }
        }
    }
}

/// Read an account's limits and what is used of them
#[utoipa::path(
    get, path = "/api/v1/ledger/accounts/{id}/limits", tag = "Ledger",
    operation_id = "getLedgerAccountLimits",
    security(("bearer" = ["ledger:read"])),
    params(("id" = Uuid, Path, description = "The account")),
    responses(
        (status = 200, description = "The limits.", body = LimitsBody),
        (status = 404, description = "There is no such account."),
    ),
)]
async fn get_limits(
    State(ledger): State<Ledger>,
    _: Authorized<Read>,
    Path(id): Path<Uuid>,
) -> Result<Json<LimitsBody>, Problem> {
    let limits = ledger.limits(AccountId(id)).await.map_err(problem)?;
    limits.map(|limits| Json(limits.into())).ok_or_else(|| Problem::not_found("account"))
}

/// Set an account's limits
///
/// In the place of those that there are. They hold from now on, for everything that is posted to the
/// account and under the same lock: a transaction beyond one is refused with `limit_exceeded`, which
/// names the limit, what is left and when it resets. A limit counts from when it is first set; what was
/// used of it stays used when it changes. Reversals neither count nor give back.
#[utoipa::path(
    put, path = "/api/v1/ledger/accounts/{id}/limits", tag = "Ledger",
    operation_id = "setLedgerAccountLimits",
    security(("bearer" = ["ledger:write"])),
    params(("id" = Uuid, Path, description = "The account")),
    request_body = SetLimitsBody,
    responses(
        (status = 200, description = "The limits.", body = LimitsBody),
        (status = 404, description = "There is no such account."),
    ),
)]
async fn set_limits(
    State(ledger): State<Ledger>,
    writer: Writer,
    Path(id): Path<Uuid>,
    Json(body): Json<SetLimitsBody>,
) -> Result<Json<LimitsBody>, Problem> {
    let details = json!({ "timeZone": body.time_zone, "limits": body.limits });
    let action = "ledger_limits_requested";
    writer.note(Deed { action, object: Some(id), details }).await?;
    let limits = Limits {
        time_zone: body.time_zone,
        limits: body.limits.into_iter().map(Into::into).collect(),
    };
    let change = LimitChange { account: AccountId(id), limits };
    Ok(Json(ledger.set_limits(change).await.map_err(problem)?.into()))
}

impl From<LimitBody> for Limit {
    fn from(limit: LimitBody) -> Self {
        Self {
            direction: match limit.direction {
                DirectionBody::Incoming => Direction::Incoming,
                DirectionBody::Outgoing => Direction::Outgoing,
            },
            kind: limit.kind,
            period: match limit.period {
                PeriodBody::Transaction => Period::Transaction,
                PeriodBody::Day => Period::Day,
                PeriodBody::Month => Period::Month,
            },
            minor_units: limit.amount_minor_units,
            count: limit.count,
        }
    }
}

impl From<&Limit> for LimitBody {
    fn from(limit: &Limit) -> Self {
        Self {
            direction: match limit.direction {
                Direction::Incoming => DirectionBody::Incoming,
                Direction::Outgoing => DirectionBody::Outgoing,
            },
            kind: limit.kind.clone(),
            period: match limit.period {
                Period::Transaction => PeriodBody::Transaction,
                Period::Day => PeriodBody::Day,
                Period::Month => PeriodBody::Month,
            },
            amount_minor_units: limit.minor_units,
            count: limit.count,
        }
    }
}

impl From<LimitUsage> for LimitUsageBody {
    fn from(usage: LimitUsage) -> Self {
        let LimitBody { direction, kind, period, amount_minor_units, count } =
            LimitBody::from(&usage.limit);
        Self {
            direction,
            kind,
            period,
            amount_minor_units,
            count,
            used_minor_units: usage.used_minor_units,
            used_count: usage.used_count,
            resets_at: usage.resets_at,
        }
    }
}

impl From<LimitsInUse> for LimitsBody {
    fn from(limits: LimitsInUse) -> Self {
        Self {
            time_zone: limits.time_zone,
            limits: limits.limits.into_iter().map(Into::into).collect(),
        }
    }
}
