//! Attribute values on the wire: JSON to the stored form ([`read`]) and back ([`render`]), each in one pass.

pub(crate) mod read;
mod render;

pub use read::{read_item, read_value};
pub use render::{render_item, render_value};

#[cfg(test)]
mod tests;
