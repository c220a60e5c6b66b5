//! Items and values written as JSON: `{"$ss": [..]}`, `$ns`, `$bs`, `$b` and `$n` stand for what JSON has no words for.

use serde_json::{Value as Json, json};
use tradewind_expression::{Condition, Kind, Placeholders, Projection, Update, UpdateError};
use tradewind_model::number::Number;
use tradewind_model::{Item, Tree, Type};

pub fn tree(json: &Json) -> Tree {
    match json {
        Json::Null => Tree::Null,
        Json::Bool(value) => Tree::Bool(*value),
        Json::Number(number) => Tree::N(number_of(&number.to_string())),
        Json::String(text) => Tree::S(text.clone()),
        Json::Array(elements) => Tree::L(elements.iter().map(tree).collect()),
        Json::Object(entries) => match entries.iter().next() {
            Some((name, value)) if name.starts_with('$') => special(name, value),
            _ => Tree::M(entries.iter().map(|(name, value)| (name.clone(), tree(value))).collect()),
        },
    }
}

fn special(name: &str, value: &Json) -> Tree {
    let text = |value: &Json| value.as_str().unwrap().as_bytes().to_vec();
    let elements = || value.as_array().unwrap().iter();
    match name {
        "$n" => Tree::N(number_of(value.as_str().unwrap())),
        "$b" => Tree::B(text(value)),
        "$ss" => Tree::Set(Type::Ss, elements().map(text).collect()),
        "$bs" => Tree::Set(Type::Bs, elements().map(text).collect()),
        "$ns" => Tree::Set(Type::Ns, elements().map(|number| stored_number(&number.to_string())).collect()),
        other => panic!("{other}"),
    }
}

fn number_of(text: &str) -> Number {
    Number::parse(text).unwrap()
}

fn stored_number(text: &str) -> Vec<u8> {
    let mut stored = Vec::new();
    number_of(text).encode(&mut stored);
    stored
}

pub fn stored(json: &Json) -> Vec<u8> {
    tree(json).to_bytes()
}

pub fn item(json: Json) -> Item {
    Item::from_bytes(stored(&json)).unwrap()
}

/// Names and values that tests use; `#undefined` and `:undefined` are not among them.
pub fn placeholders() -> Placeholders {
    let names = [("#a", "a"), ("#b", "b"), ("#dot", "a.b"), ("#size", "size")];
    let values = json!({
        ":x": "x", ":y": "y", ":xy": "xy", ":empty": "", ":one": 1, ":two": 2, ":five": 5, ":minus": -1,
        ":huge": {"$n": "9e125"}, ":bin": {"$b": "ab"}, ":list": [1], ":none": [], ":map": {"x": 3},
        ":ss": {"$ss": ["a"]}, ":ss2": {"$ss": ["b", "c"]}, ":ns": {"$ns": [1]}, ":bs": {"$bs": ["a"]},
        ":null": null, ":true": true, ":S": "S", ":L": "L", ":SS": "SS",
    });
    let values = values.as_object().unwrap();
    Placeholders::new(
        names.map(|(key, name)| (key.to_owned(), name.to_owned())).into(),
        values.iter().map(|(key, value)| (key.clone(), stored(value))).collect(),
    )
}

pub fn holds(text: &str, json: Json) -> bool {
    condition(text).holds(Some(item(json).as_ref()))
}

pub fn holds_without_item(text: &str) -> bool {
    condition(text).holds(None)
}

pub fn condition(text: &str) -> Condition {
    Condition::parse(Kind::Condition, text, &mut placeholders()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

pub fn condition_error(text: &str) -> String {
    Condition::parse(Kind::Condition, text, &mut placeholders()).expect_err(text).to_string()
}

pub fn update(text: &str) -> Update {
    Update::parse(text, &mut placeholders()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

pub fn update_error(text: &str) -> String {
    Update::parse(text, &mut placeholders()).expect_err(text).to_string()
}

/// The updated item.
pub fn updated(text: &str, old: Json) -> Item {
    apply(text, old).unwrap_or_else(|e| panic!("{text}: {e}")).unwrap()
}

pub fn apply(text: &str, old: Json) -> Result<Option<Item>, UpdateError> {
    update(text).apply(Item::empty().as_ref(), Some(item(old).as_ref()))
}

pub fn projected(text: &str, json: Json) -> Item {
    let projection = Projection::parse(text, &mut placeholders()).unwrap_or_else(|e| panic!("{text}: {e}"));
    projection.project(item(json).as_ref())
}

pub fn projection_error(text: &str) -> String {
    Projection::parse(text, &mut placeholders()).expect_err(text).to_string()
}
