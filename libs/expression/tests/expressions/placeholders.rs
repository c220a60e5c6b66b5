//! Which placeholders the expressions of one request use.

use serde_json::json;
use tradewind_expression::{Condition, Kind, Placeholders, Update};

use crate::sample::{condition_error, stored, update_error};

#[test]
fn unused_placeholders_are_listed_in_order() {
    let names = ["#c", "#b", "#a"].map(|key| (key.to_owned(), key[1..].to_owned())).into();
    let values = [":z", ":y", ":x"].map(|key| (key.to_owned(), stored(&json!(1)))).into();
    let mut placeholders = Placeholders::new(names, values);
    assert_eq!(placeholders.unused_names(), ["#a", "#b", "#c"]);
    Condition::parse(Kind::Condition, "#a = :x", &mut placeholders).unwrap();
    assert_eq!(placeholders.unused_names(), ["#b", "#c"]);
    Update::parse("SET #b = if_not_exists(d, :y)", &mut placeholders).unwrap();
    assert_eq!(placeholders.unused_names(), ["#c"]);
    assert_eq!(placeholders.unused_values(), [":z"]);
}

#[test]
fn undefined_placeholders_are_named() {
    assert_eq!(
        condition_error("#undefined = :undefined"),
        "An expression attribute name used in the document path is not defined; attribute name: #undefined"
    );
    assert_eq!(
        condition_error("a.#undefined = :x"),
        "An expression attribute name used in the document path is not defined; attribute name: #undefined"
    );
    assert_eq!(
        update_error("ADD a :undefined"),
        "An expression attribute value used in expression is not defined; attribute value: :undefined"
    );
}

#[test]
fn a_name_placeholder_is_one_name_whatever_it_contains() {
    let mut placeholders = Placeholders::new(vec![("#n".to_owned(), "a.b[0]".to_owned())], Vec::new());
    let condition = Condition::parse(Kind::Filter, "attribute_exists(#n)", &mut placeholders).unwrap();
    assert_eq!(condition.attribute_names().collect::<Vec<_>>(), ["a.b[0]"]);
}
