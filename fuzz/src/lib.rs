//! What the fuzz targets do with their input. None of it may panic, or take longer than its size warrants.

use tradewind_expression::{Condition, KeyCondition, Kind, Placeholders, Projection, Update, partiql};
use tradewind_wire::{Operation, decode, encode_error};

/// A request body of any operation: the first byte chooses which.
pub fn request(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let operation = Operation::ALL[usize::from(*first) % Operation::ALL.len()];
    if let Err(error) = decode(operation, body) {
        let mut out = Vec::new();
        let status = encode_error(&error, &mut out);
        assert!((400..500).contains(&status), "a bad request is answered {status}");
    }
}

/// An expression of any kind: the first byte chooses which.
pub fn expression(data: &[u8]) {
    let Some((first, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let mut placeholders = placeholders();
    match first % 5 {
        0 => drop(Condition::parse(Kind::Condition, text, &mut placeholders)),
        1 => drop(Condition::parse(Kind::Filter, text, &mut placeholders)),
        2 => drop(Update::parse(text, &mut placeholders)),
        3 => drop(Projection::parse(text, &mut placeholders)),
        _ => drop(KeyCondition::parse(text, &mut placeholders)),
    }
}

/// A statement, with two parameters.
pub fn statement(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    drop(partiql::parse(text, vec![number(), number()]));
}

/// Names and values as generated expressions use them.
fn placeholders() -> Placeholders {
    let name = |placeholder: &str, name: &str| (placeholder.to_owned(), name.to_owned());
    let names = vec![name("#a", "a"), name("#b", "size"), name("#c", "x.y")];
    let values = [":a", ":b", ":c"].map(|placeholder| (placeholder.to_owned(), number()));
    Placeholders::new(names, values.to_vec())
}

/// Some stored value.
fn number() -> Vec<u8> {
    tradewind_wire::attribute_value::read_value(r#"{"N":"1"}"#).expect("a value")
}
