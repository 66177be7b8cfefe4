//! Every error of the module as a problem.

use crate::Error;
use store::StoreError;
use web::Problem;

/// An error as clients see it.
pub(super) fn problem(error: Error) -> Problem {
    let text = error.to_string();
    match error {
        Error::NoSuchToken => Problem::not_found("card token"),
        Error::NumberDeleted => Problem::conflict("card_number_deleted", text),
        Error::NoTokenLeft => Problem::conflict("no_card_token_left", text),
        Error::Audit(error) => Problem::store_unavailable(&error),
        Error::DataKeys(error) => Problem::internal(&error),
        Error::Seal(error) => Problem::internal(&error),
        Error::Randomness(error) => Problem::internal(&error),
        Error::Store(error @ StoreError::Database(_)) => Problem::store_unavailable(&error),
        Error::Store(error) => Problem::internal(&error),
    }
}
