//! Finding transactions.

use super::balances::require_order;
use super::bodies::TransactionBody;
use super::routes::Read;
use super::trail::Books;
use crate::Ledger;
use crate::journal::search::TransactionFilter;
use axum::extract::State;
use ledger_api::AccountId;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;
use utoipa::IntoParams;
use uuid::Uuid;
use web::{
    Authorized, FieldErrors, Json, ListBody, OpenApiRouter, PageQuery, PageRequest, Problem, Query,
    is_amount, routes,
};

pub(super) fn router() -> OpenApiRouter<Books> {
    OpenApiRouter::new().routes(routes!(find_transactions))
}

/// Which transactions are wanted. Read by [`Wanted`], because `metadata.<key>` has no fixed name.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "it is the documentation of the parameters")]
struct TransactionsQuery {
    /// How many items to return.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before; leave out for the first page.
    #[param(max_length = 200)]
    cursor: Option<String>,
    /// Only transactions with a leg on this account.
    account_id: Option<Uuid>,
    /// Only transactions of this kind.
    kind: Option<String>,
    /// Only transactions with this reference.
    reference: Option<String>,
    /// Only transactions recorded at this instant or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Only transactions recorded before this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
    /// Only transactions with a leg of at least this amount.
    #[param(minimum = 1, maximum = 9007199254740991_i64)]
    min_amount_minor_units: Option<i64>,
    /// Only transactions with a leg of at most this amount. With both bounds it is one leg that lies
    /// between them.
    #[param(minimum = 1, maximum = 9007199254740991_i64)]
    max_amount_minor_units: Option<i64>,
}

/// The page and the filter that a query asks for.
struct Wanted {
    page: PageRequest,
    filter: TransactionFilter,
}

/// The most members of the metadata that one query names.
const METADATA_FILTERS_MAX: usize = 10;

/// Find transactions, newest first
///
/// Those that all given parameters hold for; everything when there are none. Besides those below,
/// `metadata.<key>=<value>` asks for a member of the metadata, for several when given several times with
/// different keys, up to ten. One page looks at no more than 5,000 transactions that the index leads to
/// (by reference, else metadata, account, kind, else all): **a page may be short or empty although
/// `nextCursor` is set**; the list ends where it is null.
#[utoipa::path(
    get, path = "/api/v1/ledger/transactions", tag = "Ledger",
    operation_id = "findLedgerTransactions",
    security(("bearer" = ["ledger:read"])),
    params(TransactionsQuery),
    responses((status = 200, description = "A page of transactions.", body = ListBody<TransactionBody>)),
)]
async fn find_transactions(
    State(ledger): State<Ledger>,
    _: Authorized<Read>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<ListBody<TransactionBody>>, Problem> {
    let Wanted { page, filter } = Wanted::try_new(pairs)?;
    let after = page.after.map(|cursor| cursor.as_i64()).transpose()?;
    let found = ledger.0.journal.find_transactions(&filter, after, page.limit).await;
    let found = found.map_err(|error| Problem::store_unavailable(&error))?;
    Ok(Json(found.map(TransactionBody::from).into()))
}

impl Wanted {
    fn try_new(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut errors = FieldErrors::default();
        let mut filter = TransactionFilter::default();
        let (mut limit, mut cursor) = (None, None);
        let (mut least, mut most) = (None, None);
        let mut names = BTreeSet::new();
        for (name, value) in pairs {
            if !names.insert(name.clone()) {
                errors.add(name, "is given more than once");
                continue;
            }
            if let Some(key) = name.strip_prefix("metadata.") {
                errors.require(!key.is_empty(), &name, "name the key: metadata.<key>");
                filter.metadata.push((key.to_owned(), value));
                continue;
            }
            match name.as_str() {
                "limit" => limit = parsed(&name, &value, &mut errors),
                "cursor" => cursor = Some(value),
                "accountId" => filter.account = parsed(&name, &value, &mut errors).map(AccountId),
                "kind" => filter.kind = Some(value),
                "reference" => filter.reference = Some(value),
                "from" => filter.from = parsed(&name, &value, &mut errors),
                "to" => filter.to = parsed(&name, &value, &mut errors),
                "minAmountMinorUnits" => least = amount(&name, &value, &mut errors),
                "maxAmountMinorUnits" => most = amount(&name, &value, &mut errors),
                _ => errors.add(name, "is not a parameter of this list; see /docs"),
            }
        }
        if filter.metadata.len() > METADATA_FILTERS_MAX {
            errors.add("metadata", "name at most 10 keys");
        }
        if let (Some(least), Some(most)) = (least, most) {
            let detail = "must not be below minAmountMinorUnits";
            errors.require(least <= most, "maxAmountMinorUnits", detail);
        }
        errors.into_result()?;
        require_order(filter.from, filter.to)?;
        if least.is_some() || most.is_some() {
            filter.amount = Some(least.unwrap_or(0)..=most.unwrap_or(i64::MAX));
        }
        Ok(Self { page: PageQuery::new(limit, cursor).into_request()?, filter })
    }
}

fn parsed<T: FromStr<Err: Display>>(
    name: &str,
    value: &str,
    errors: &mut FieldErrors,
) -> Option<T> {
    value.parse().map_err(|error: T::Err| errors.add(name, error.to_string())).ok()
}

fn amount(name: &str, value: &str, errors: &mut FieldErrors) -> Option<i64> {
    let minor_units = parsed(name, value, errors)?;
    errors.require_amount(minor_units, name);
    Some(minor_units).filter(|&minor_units| is_amount(minor_units))
}
