//! Lists over HTTP.

use crate::{FieldError, FieldErrors, Problem};
use kernel::{Cursor, Page, PageLimit};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The query of every list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many items to return.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before; leave out for the first page.
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// Which page is wanted.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// How many items.
    pub limit: PageLimit,
    /// After which item; from the start when `None`.
    pub after: Option<Cursor>,
}

impl PageQuery {
    /// The page of a query that has members of its own beside these.
    pub fn new(limit: Option<u16>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// Checks the query.
    pub fn into_request(self) -> Result<PageRequest, Problem> {
        let mut errors = FieldErrors::default();
        let limit = self.limit.map_or(Some(PageLimit::default()), PageLimit::new);
        errors.require(limit.is_some(), "limit", "must be between 1 and 200");
        let after = self.cursor.as_deref().map(Cursor::parse).transpose();
        if let Err(error) = &after {
            errors.add("cursor", error.to_string());
        }
        errors.into_result()?;
        Ok(PageRequest { limit: limit.unwrap_or_default(), after: after.unwrap_or_default() })
    }
}

/// The body of every list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListBody<T> {
    /// The items of this page.
    items: Vec<T>,
    /// Where the next page starts; absent or null on the last one.
    next_cursor: Option<String>,
}

impl<T> From<Page<T>> for ListBody<T> {
    fn from(page: Page<T>) -> Self {
        Self { items: page.items, next_cursor: page.next.map(|cursor| cursor.to_string()) }
    }
}

/// A cursor that this list did not give out.
impl From<kernel::CursorError> for Problem {
    fn from(error: kernel::CursorError) -> Self {
        Self::validation(vec![FieldError { pointer: "cursor".into(), detail: error.to_string() }])
    }
}
