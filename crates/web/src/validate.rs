//! Checks on request bodies beyond their types.

use crate::{FieldError, Problem};

/// The largest amount that may move at once, in minor units.
const AMOUNT_MAX: i64 = 9_007_199_254_740_991;

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

    /// Adds what is wrong with a part of the request, which stands at `pointer`.
    pub fn check(&mut self, part: &impl Validate, pointer: &str) {
        let mut errors = Self::default();
        part.validate(&mut errors);
        for FieldError { pointer: inner, detail } in errors.0 {
            self.add(format!("{pointer}{inner}"), detail);
        }
    }

    /// Amounts that move are whole minor units from 1 to 2^53 - 1: what every JSON reader keeps exactly.
    pub fn require_amount(&mut self, minor_units: i64, pointer: &str) {
        self.require(
            is_amount(minor_units),
            pointer,
            "must be a whole number of minor units from 1 to 9007199254740991",
        );
    }

    /// Text is between `min` and `max` characters long and has no control characters.
    pub fn require_text(&mut self, text: &str, min: usize, max: usize, pointer: &str) {
        if !(min..=max).contains(&text.chars().count()) {
            self.add(pointer, format!("must have {min} to {max} characters"));
        } else if text.chars().any(char::is_control) {
            self.add(pointer, "must not contain control characters");
        }
    }

    /// `validation_failed` if anything was added.
    pub fn into_result(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into_problem()) }
    }

    /// `validation_failed` with what was added.
    pub fn into_problem(self) -> Problem {
        Problem::validation(self.0)
    }
}

/// Whether a number of minor units can be an amount: above zero, and exact in every JSON reader.
pub fn is_amount(minor_units: i64) -> bool {
    (1..=AMOUNT_MAX).contains(&minor_units)
}
