//! What updates make of items.

use serde_json::{Value as Json, json};
use tradewind_expression::update::{Action, Update, Value};
use tradewind_expression::{Constant, Path, UpdateError};
use tradewind_model::Item;
use tradewind_model::number::NumberError;

use crate::sample::{apply, item, stored, update, updated};

fn each(cases: &[(&str, Json, Json)]) {
    for (text, old, new) in cases {
        assert_eq!(updated(text, old.clone()), item(new.clone()), "{text}");
    }
}

fn refused(text: &str, old: Json, expected: UpdateError) {
    assert_eq!(apply(text, old), Err(expected), "{text}");
}

#[test]
fn set_replaces_and_adds_attributes_in_any_order() {
    each(&[
        ("SET b = :x", json!({"a": 1}), json!({"a": 1, "b": "x"})),
        (
            "SET z = :x, a = :one, m = :null",
            json!({"k": 0, "m": 1}),
            json!({"a": 1, "k": 0, "m": null, "z": "x"}),
        ),
        ("SET #dot = :x", json!({"a": {"b": 1}}), json!({"a": {"b": 1}, "a.b": "x"})),
        ("SET a = (b)", json!({"b": [1, {"c": 2}]}), json!({"a": [1, {"c": 2}], "b": [1, {"c": 2}]})),
    ]);
}

#[test]
fn arithmetic_is_exact() {
    each(&[
        ("SET a = a + :one", json!({"a": {"$n": "0.1"}}), json!({"a": {"$n": "1.1"}})),
        ("SET a = :one - a", json!({"a": 5}), json!({"a": -4})),
        ("SET a = (b - b)", json!({"b": 5}), json!({"a": 0, "b": 5})),
    ]);
    refused("SET a = a + :one", json!({"a": {"$n": "1e50"}}), UpdateError::Number(NumberError::Overflow));
    refused("SET a = :huge + :huge", json!({}), UpdateError::Number(NumberError::Overflow));
    refused("SET a = a + :one", json!({"a": "x"}), UpdateError::OperandType);
}

#[test]
fn right_hand_sides_read_the_item_as_it_was() {
    each(&[
        ("SET a = b, b = a", json!({"a": 1, "b": 2}), json!({"a": 2, "b": 1})),
        ("SET l[0] = l[1], l[1] = l[0]", json!({"l": [1, 2]}), json!({"l": [2, 1]})),
        ("SET b = a REMOVE a", json!({"a": [1]}), json!({"b": [1]})),
        ("ADD n :one SET m = n", json!({"n": 1}), json!({"m": 1, "n": 2})),
    ]);
}

#[test]
fn what_is_read_must_exist() {
    for text in ["SET a = b", "SET a = b.c", "SET a = a[0] + :one", "SET a = list_append(b, :list)"] {
        refused(text, json!({"a": 1}), UpdateError::MissingAttribute);
    }
}

#[test]
fn if_not_exists_prefers_what_is_there() {
    each(&[
        ("SET a = if_not_exists(a, :x)", json!({"a": null}), json!({"a": null})),
        ("SET a = if_not_exists(b.c[0], :x)", json!({}), json!({"a": "x"})),
        ("SET a = if_not_exists(b, if_not_exists(c, :x))", json!({"c": 1}), json!({"a": 1, "c": 1})),
        ("SET n = if_not_exists(n, :one) + :one", json!({}), json!({"n": 2})),
    ]);
}

#[test]
fn list_append_joins_two_lists() {
    each(&[
        ("SET a = list_append(a, :list)", json!({"a": [0]}), json!({"a": [0, 1]})),
        ("SET a = list_append(:list, a)", json!({"a": [0]}), json!({"a": [1, 0]})),
        ("SET a = list_append(if_not_exists(a, :none), :list)", json!({}), json!({"a": [1]})),
    ]);
    refused("SET a = list_append(a, :list)", json!({"a": "x"}), UpdateError::OperandType);
}

#[test]
fn nested_attributes_need_their_parents() {
    each(&[
        ("SET a.b = :x, a.c.d = :y", json!({"a": {"c": {}}}), json!({"a": {"b": "x", "c": {"d": "y"}}})),
        ("SET a[1].b = :x", json!({"a": [0, {}]}), json!({"a": [0, {"b": "x"}]})),
    ]);
    for text in [
        "SET b.c = :x",
        "SET b[0] = :x",
        "SET a.x = :x",
        "SET m[0] = :x",
        "SET m.x.y = :x",
        "SET a[5].b = :x",
    ] {
        refused(text, json!({"a": [0], "m": {}}), UpdateError::InvalidPath);
    }
}

#[test]
fn indexes_past_the_end_append_in_their_order() {
    each(&[
        ("SET a[9] = :x", json!({"a": [0]}), json!({"a": [0, "x"]})),
        ("SET a[9] = :x, a[3] = :y, a[7] = :one", json!({"a": [0]}), json!({"a": [0, "y", 1, "x"]})),
        ("SET a[0] = :x, a[1] = :y", json!({"a": []}), json!({"a": ["x", "y"]})),
        ("SET a[2147483647] = :x", json!({"a": []}), json!({"a": ["x"]})),
    ]);
}

#[test]
fn removed_indexes_are_those_of_the_list_as_it_was() {
    each(&[
        ("REMOVE a[0], a[2]", json!({"a": [0, 1, 2, 3]}), json!({"a": [1, 3]})),
        ("REMOVE a[9]", json!({"a": [0]}), json!({"a": [0]})),
        ("SET a[1] = :x REMOVE a[0]", json!({"a": [0, 1, 2]}), json!({"a": ["x", 2]})),
        ("REMOVE a[0] SET a[9] = :x", json!({"a": [0, 1]}), json!({"a": [1, "x"]})),
        ("REMOVE a[1] SET a[9] = :x", json!({"a": [0]}), json!({"a": [0, "x"]})),
        ("REMOVE a[1].b, a[0]", json!({"a": [0, {"b": 1, "c": 2}]}), json!({"a": [{"c": 2}]})),
    ]);
}

#[test]
fn remove_ignores_what_is_missing_but_not_a_missing_way() {
    each(&[
        ("REMOVE a", json!({"a": 1, "b": 2}), json!({"b": 2})),
        ("REMOVE c, m.x", json!({"m": {"y": 1}}), json!({"m": {"y": 1}})),
    ]);
    for text in ["REMOVE b.c", "REMOVE b[0]", "REMOVE a.c", "REMOVE m[0]", "REMOVE m.x.y"] {
        refused(text, json!({"a": 1, "m": {}}), UpdateError::InvalidPath);
    }
}

#[test]
fn add_counts_and_unites() {
    each(&[
        ("ADD a :one", json!({"a": 4}), json!({"a": 5})),
        ("ADD a :one", json!({}), json!({"a": 1})),
        ("ADD a :ss2", json!({}), json!({"a": {"$ss": ["b", "c"]}})),
        ("ADD a :ss2", json!({"a": {"$ss": ["a", "b"]}}), json!({"a": {"$ss": ["a", "b", "c"]}})),
        (
            "ADD m.n :one, l[0] :one, l[7] :two",
            json!({"m": {}, "l": [1]}),
            json!({"m": {"n": 1}, "l": [2, 2]}),
        ),
    ]);
    for (text, old) in [
        ("ADD a :one", json!("x")),
        ("ADD a :one", json!([1])),
        ("ADD a :ss", json!({"$ns": [1]})),
        ("ADD a :ss", json!(1)),
    ] {
        refused(text, json!({ "a": old }), UpdateError::OperandType);
    }
    refused("ADD a :huge", json!({"a": 1}), UpdateError::Number(NumberError::Overflow));
    refused("ADD b.c :one", json!({}), UpdateError::InvalidPath);
}

#[test]
fn delete_takes_elements_and_the_last_takes_the_attribute() {
    each(&[
        ("DELETE a :ss2", json!({"a": {"$ss": ["a", "b"]}}), json!({"a": {"$ss": ["a"]}})),
        ("DELETE a :ss2", json!({"a": {"$ss": ["b"]}}), json!({})),
        ("DELETE m.a :ns", json!({"m": {"a": {"$ns": [1.0]}}}), json!({"m": {}})),
        ("DELETE a :ss, m.b :ss, l[3] :ss", json!({"m": {}, "l": []}), json!({"m": {}, "l": []})),
    ]);
    refused("DELETE a :ss", json!({"a": {"$ns": [1]}}), UpdateError::OperandType);
    refused("DELETE a :ss", json!({"a": ["a"]}), UpdateError::OperandType);
    refused("DELETE b.c :ss", json!({"a": 1}), UpdateError::InvalidPath);
    let rest = updated("DELETE a :bs", json!({"a": {"$bs": ["a", "b"]}}));
    assert_eq!(rest, item(json!({"a": {"$bs": ["b"]}})));
}

#[test]
fn a_missing_item_is_created_unless_nothing_is_added() {
    let key = item(json!({"p": "k"}));
    let result = |text: &str| update(text).apply(key.as_ref(), None);
    assert_eq!(result("SET a = :x"), Ok(Some(item(json!({"a": "x", "p": "k"})))));
    assert_eq!(result("ADD a :one"), Ok(Some(item(json!({"a": 1, "p": "k"})))));
    assert_eq!(result("SET a = p"), Ok(Some(item(json!({"a": "k", "p": "k"})))));
    assert_eq!(result("REMOVE a, b.c"), Ok(None));
    assert_eq!(result("DELETE a :ss, b.c :ss REMOVE d[0]"), Ok(None));
    assert_eq!(result("REMOVE b.c SET a = :x"), Ok(Some(item(json!({"a": "x", "p": "k"})))));
    assert_eq!(result("SET a = b"), Err(UpdateError::MissingAttribute));
    assert_eq!(result("SET a.b = :x"), Err(UpdateError::InvalidPath));
    assert_eq!(Update::default().apply(key.as_ref(), None), Ok(Some(key.clone())));
}

#[test]
fn touched_paths_are_shown_inside_their_hierarchy() {
    let touched = |text: &str, image: Json| update(text).touched(item(image).as_ref());
    let image = json!({"a": {"b": 1, "c": 2}, "l": [0, 1, 2], "n": 3, "s": "x"});
    let shown = |json| Some(item(json));
    assert_eq!(touched("SET a.b = :one, n = :one", image.clone()), shown(json!({"a": {"b": 1}, "n": 3})));
    assert_eq!(touched("REMOVE l[0], l[2], s", image.clone()), shown(json!({"l": [0, 2], "s": "x"})));
    assert_eq!(touched("ADD z :one DELETE a.z :ss", image.clone()), None);
    assert_eq!(touched("SET l[9] = :x", image), None);
}

#[test]
fn what_is_far_too_large_is_not_built() {
    let large = "x".repeat(300_000);
    let text = format!("SET {}", (0..500).map(|at| format!("a{at}=b")).collect::<Vec<_>>().join(","));
    refused(&text, json!({ "b": large }), UpdateError::TooLarge);
}

#[test]
fn legacy_updates_append_lists_and_word_type_errors_otherwise() {
    let constant = |json: Json| Constant::from(stored(&json));
    let update = Update::legacy(vec![Action::Add(Path::top("a"), constant(json!([2])))]);
    let apply = |update: &Update, old: Json| update.apply(Item::empty().as_ref(), Some(item(old).as_ref()));
    assert_eq!(apply(&update, json!({"a": [1]})), Ok(Some(item(json!({"a": [1, 2]})))));
    assert_eq!(apply(&update, json!({})), Ok(Some(item(json!({"a": [2]})))));
    assert_eq!(apply(&update, json!({"a": 1})), Err(UpdateError::TypeMismatch));
    let delete = Update::legacy(vec![Action::Delete(Path::top("a"), constant(json!({"$ss": ["x"]})))]);
    assert_eq!(apply(&delete, json!({"a": 1})), Err(UpdateError::TypeMismatch));
    assert_eq!(UpdateError::TypeMismatch.to_string(), "Type mismatch for attribute to update");
}

/// Those who build updates themselves have no parser that refuses them.
#[test]
fn overlapping_paths_are_refused_on_request_and_never_panic() {
    let set = |steps: Vec<_>, value: Json| {
        let operand = tradewind_expression::update::Operand::Value(Constant::from(stored(&value)));
        Action::Set(Path { name: "a".to_owned(), steps }, Value::Of(operand))
    };
    let inner = vec![tradewind_expression::Step::Name("b".to_owned())];
    let both = Update { actions: vec![set(inner, json!(1)), set(Vec::new(), json!({}))], legacy: false };
    assert!(both.check_paths().unwrap_err().to_string().starts_with("Two document paths overlap"));
    both.apply(Item::empty().as_ref(), Some(item(json!({"a": 1})).as_ref())).unwrap();
    update("SET a.b = :x, a.c = :x").check_paths().unwrap();
}
