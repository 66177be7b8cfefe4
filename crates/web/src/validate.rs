//! Checks on request bodies beyond their types.

use crate::{FieldError, Problem};

/// A request body that can tell what is wrong with it.
pub trait Validate {
    /// Adds an error for each field at fault.
    fn validate(&self, errors: &mut FieldErrors) {
        let _ = errors;
    }
}

/// Collects what is wrong with a request, so that a client learns all of it at once.
#[derive(Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Adds an error at a JSON pointer.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), detail: detail.into() });
    }

    /// Adds an error at a JSON pointer unless `valid`.
    pub fn require(&mut self, valid: bool, pointer: &str, detail: &str) {
        if !valid {
            self.add(pointer, detail);
        }
    }

    /// Amounts that move are whole minor units above zero.
    pub fn require_positive(&mut self, minor_units: i64, pointer: &str) {
        self.require(
            minor_units > 0,
            pointer,
            "must be a whole number of minor units greater than zero",
        );
    }

    /// Text is between `min` and `max` characters long.
    pub fn require_length(&mut self, text: &str, min: usize, max: usize, pointer: &str) {
        let length = text.chars().count();
        if !(min..=max).contains(&length) {
            self.add(pointer, format!("must have {min} to {max} characters"));
        }
    }

    /// `validation_failed` if anything was added.
    pub fn into_result(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::validation(self.0)) }
    }
}
