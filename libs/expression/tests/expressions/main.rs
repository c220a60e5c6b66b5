//! Expressions through their public doors: what each rule of the developer guide ("Expressions in DynamoDB") and each
//! message means for texts and items.

#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod condition_errors;
mod conditions;
mod key_conditions;
mod limits;
mod placeholders;
mod projections;
mod properties;
mod reference;
mod sample;
mod update_errors;
mod updates;
