//! Constraints of the service model, gathered so that one answer names all that are broken.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::ApiError;

#[derive(Default)]
pub struct Checks {
    problems: Vec<String>,
}

impl Checks {
    pub fn fail(&mut self, field: &str, value: impl Display, constraint: &str) {
        self.problems
            .push(format!("Value '{value}' at '{field}' failed to satisfy constraint: {constraint}"));
    }

    pub fn range(&mut self, field: &str, value: Option<i64>, allowed: RangeInclusive<i64>) {
        let Some(value) = value else { return };
        if value < *allowed.start() {
            let bound = format!("Member must have value greater than or equal to {}", allowed.start());
            self.fail(field, value, &bound);
        }
        if value > *allowed.end() {
            let bound = format!("Member must have value less than or equal to {}", allowed.end());
            self.fail(field, value, &bound);
        }
    }

    pub fn length(&mut self, field: &str, value: Option<&str>, allowed: RangeInclusive<usize>) {
        let Some(value) = value else { return };
        let length = value.chars().count();
        if length < *allowed.start() {
            let bound = format!("Member must have length greater than or equal to {}", allowed.start());
            self.fail(field, value, &bound);
        }
        if length > *allowed.end() {
            let bound = format!("Member must have length less than or equal to {}", allowed.end());
            self.fail(field, value, &bound);
        }
    }

    pub fn one_of(&mut self, field: &str, value: Option<&str>, allowed: &[&str]) {
        let Some(value) = value else { return };
        if !allowed.contains(&value) {
            let bound = format!("Member must satisfy enum value set: [{}]", allowed.join(", "));
            self.fail(field, value, &bound);
        }
    }

    /// For what the model requires.
    pub fn present<T>(&mut self, field: &str, value: Option<&T>) {
        if value.is_none() {
            let problem =
                format!("Value null at '{field}' failed to satisfy constraint: Member must not be null");
            self.problems.push(problem);
        }
    }

    pub fn pattern(&mut self, field: &str, value: Option<&str>, fits: impl Fn(&str) -> bool, pattern: &str) {
        let Some(value) = value else { return };
        if !fits(value) {
            self.fail(field, value, &format!("Member must satisfy regular expression pattern: {pattern}"));
        }
    }

    pub fn finish(self) -> Result<(), ApiError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ApiError::validation(&self.problems)) }
    }
}
