//! What an account held at an instant, and what happened on it in a period.

use super::bodies::EntryBody;
use super::problems::problem;
use super::routes::Read;
use super::trail::Books;
use crate::Ledger;
use crate::journal::balances::Statement;
use axum::extract::State;
use axum::http::StatusCode;
use kernel::{Currency, Timestamp};
use ledger_api::{AccountId, BalanceAsOf, Basis, EntryKey, Ledger as _};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use web::{
    Authorized, FieldError, Json, ListBody, OpenApiRouter, PageQuery, Path, Problem, Query, routes,
};

pub(super) fn router() -> OpenApiRouter<Books> {
    OpenApiRouter::new()
        .routes(routes!(get_balance))
        .routes(routes!(get_statement))
        .routes(routes!(list_entries))
}

/// By which of its two instants an entry counts.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum BasisBody {
    /// By its value date. Everything recorded until now counts, so an answer about the past may change
    /// with the next backdated posting.
    Effective,
    /// By the instant of recording. An answer about the past never changes.
    Recorded,
}

/// Which balance is wanted.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BalanceQuery {
    /// The instant; what happened at it counts. Now, when left out.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// `effective` when left out.
    #[param(inline)]
    basis: Option<BasisBody>,
}

/// Which statement is wanted.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatementQuery {
    /// The first instant of the period.
    #[param(value_type = String, format = DateTime)]
    from: Timestamp,
    /// The end of the period, which is not part of it.
    #[param(value_type = String, format = DateTime)]
    to: Timestamp,
    /// `recorded` when left out, as the lines of a statement are.
    #[param(inline)]
    basis: Option<BasisBody>,
}

/// Which entries are wanted.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EntriesQuery {
    /// How many items to return.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before; leave out for the first page.
    #[param(max_length = 200)]
    cursor: Option<String>,
    /// Only entries recorded at this instant or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only entries recorded before this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

/// The balance of an account as of an instant.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BalanceAsOfBody {
    account_id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    basis: BasisBody,
    /// Posted, positive on the account's normal side; zero before the account was opened.
    balance_minor_units: i64,
    #[schema(value_type = String, example = "MAD")]
    currency_code: Currency,
    /// The last record of the journal that counted: the last until the instant when `recorded`, the last
    /// of all when `effective`.
    as_of_sequence: i64,
}

/// What happened on an account in a period. The opening balance of a period is the closing balance of the
/// one before.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StatementBody {
    account_id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    basis: BasisBody,
    #[schema(value_type = String, example = "MAD")]
    currency_code: Currency,
    /// Just before the period, positive on the account's normal side.
    opening_balance_minor_units: i64,
    /// At the end of the period: the opening balance and the totals together.
    closing_balance_minor_units: i64,
    /// Everything debited in the period.
    debits_minor_units: i64,
    /// In how many entries.
    debit_count: i64,
    /// Everything credited in the period.
    credits_minor_units: i64,
    /// In how many entries.
    credit_count: i64,
    /// The last record of the journal that counted: the last of the period when `recorded`, the last of
    /// all when `effective`.
    as_of_sequence: i64,
}

/// Read the balance of an account as of an instant
///
/// By value date (`effective`) or by the instant of recording (`recorded`). It costs the same however long
/// the history is and however far back the instant lies. Holds do not count.
#[utoipa::path(
    get, path = "/api/v1/ledger/accounts/{id}/balance", tag = "Ledger",
    operation_id = "getLedgerBalance",
    security(("bearer" = ["ledger:read"])),
    params(("id" = Uuid, Path, description = "The account"), BalanceQuery),
    responses(
        (status = 200, description = "The balance.", body = BalanceAsOfBody),
        (status = 404, description = "There is no such account."),
    ),
)]
async fn get_balance(
    State(ledger): State<Ledger>,
    _: Authorized<Read>,
    Path(id): Path<Uuid>,
    Query(query): Query<BalanceQuery>,
) -> Result<Json<BalanceAsOfBody>, Problem> {
    let basis = query.basis.map_or(Basis::Effective, Into::into);
    let balance = ledger.balance_as_of(AccountId(id), query.at, basis).await.map_err(problem)?;
    balance.map(|balance| Json(balance.into())).ok_or_else(|| Problem::not_found("account"))
}

/// Read the statement of an account for a period
///
/// From `from` up to, and not including, `to`. The lines are the account's entries with the same `from` and
/// `to`: they are listed by the instant of recording, and with the basis `recorded` they add up to the
/// statement. With the basis `effective` balances and totals are by value date instead. Refused with
/// `period_too_long` when more than a million entries would have to be added up.
#[utoipa::path(
    get, path = "/api/v1/ledger/accounts/{id}/statement", tag = "Ledger",
    operation_id = "getLedgerStatement",
    security(("bearer" = ["ledger:read"])),
    params(("id" = Uuid, Path, description = "The account"), StatementQuery),
    responses(
        (status = 200, description = "The statement.", body = StatementBody),
        (status = 404, description = "There is no such account."),
    ),
)]
async fn get_statement(
    State(ledger): State<Ledger>,
    _: Authorized<Read>,
    Path(id): Path<Uuid>,
    Query(query): Query<StatementQuery>,
) -> Result<Json<StatementBody>, Problem> {
    require_order(Some(query.from), Some(query.to))?;
    let basis = query.basis.map_or(Basis::Recorded, Into::into);
    let statement = ledger.0.journal.statement(AccountId(id), query.from..query.to, basis).await;
    let statement = statement.map_err(|error| Problem::store_unavailable(&error))?;
    let statement = statement.ok_or_else(|| Problem::not_found("account"))?;
    statement.map(|statement| Json(statement.into())).map_err(|_| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "period_too_long",
            "the period has more than a million entries; ask for a shorter one",
        )
    })
}

/// List an account's entries, newest first
///
/// By the instant of recording, in which order `balanceAfterMinorUnits` follows from line to line.
#[utoipa::path(
    get, path = "/api/v1/ledger/accounts/{id}/entries", tag = "Ledger",
    operation_id = "listLedgerEntries",
    security(("bearer" = ["ledger:read"])),
    params(("id" = Uuid, Path, description = "The account"), EntriesQuery),
    responses(
        (status = 200, description = "A page of entries.", body = ListBody<EntryBody>),
        (status = 404, description = "There is no such account."),
    ),
)]
async fn list_entries(
    State(ledger): State<Ledger>,
    _: Authorized<Read>,
    Path(id): Path<Uuid>,
    Query(query): Query<EntriesQuery>,
) -> Result<Json<ListBody<EntryBody>>, Problem> {
    let page = PageQuery::new(query.limit, query.cursor).into_request()?;
    let after = page.after.as_ref().map(EntryKey::try_from).transpose()?;
    let id = AccountId(id);
    let entries = if query.from.is_none() && query.to.is_none() {
        ledger.entries(id, after, page.limit).await.map_err(problem)?
    } else {
        require_order(query.from, query.to)?;
        let period = (query.from, query.to);
        let entries = ledger.0.journal.entries_within(id, period, after, page.limit).await;
        entries.map_err(|error| Problem::store_unavailable(&error))?
    };
    if entries.items.is_empty() && ledger.account(id).await.map_err(problem)?.is_none() {
        return Err(Problem::not_found("account"));
    }
    Ok(Json(entries.map(EntryBody::from).into()))
}

/// A period begins before it ends.
pub(super) fn require_order(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(), Problem> {
    match (from, to) {
        (Some(from), Some(to)) if from >= to => Err(Problem::validation(vec![FieldError {
            pointer: "to".into(),
            detail: "must be later than `from`".into(),
        }])),
        _ => Ok(()),
    }
}

impl From<BasisBody> for Basis {
    fn from(basis: BasisBody) -> Self {
        match basis {
            BasisBody::Effective => Self::Effective,
            BasisBody::Recorded => Self::Recorded,
        }
    }
}

impl From<Basis> for BasisBody {
    fn from(basis: Basis) -> Self {
        match basis {
            Basis::Effective => Self::Effective,
            Basis::Recorded => Self::Recorded,
        }
    }
}

impl From<BalanceAsOf> for BalanceAsOfBody {
    fn from(balance: BalanceAsOf) -> Self {
        Self {
            account_id: balance.account.0,
            at: balance.at,
            basis: balance.basis.into(),
            balance_minor_units: balance.balance.minor_units(),
            currency_code: balance.balance.currency(),
            as_of_sequence: balance.as_of_sequence,
        }
    }
}

impl From<Statement> for StatementBody {
    fn from(statement: Statement) -> Self {
        Self {
            account_id: statement.account.0,
            from: statement.period.start,
            to: statement.period.end,
            basis: statement.basis.into(),
            currency_code: statement.currency,
            opening_balance_minor_units: statement.opening,
            closing_balance_minor_units: statement.closing,
            debits_minor_units: statement.totals.debits,
            debit_count: statement.totals.debit_count,
            credits_minor_units: statement.totals.credits,
            credit_count: statement.totals.credit_count,
            as_of_sequence: statement.as_of_sequence,
        }
    }
}
