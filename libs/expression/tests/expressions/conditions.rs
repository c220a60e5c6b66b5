//! What conditions say of items.

use serde_json::json;

use crate::sample::{condition, holds, holds_without_item};

#[test]
fn numbers_are_equal_by_value_and_ordered_numerically() {
    assert!(holds("a = :one", json!({"a": {"$n": "1.00"}})));
    assert!(holds("a > :two", json!({"a": 10})));
    assert!(holds("a < :minus", json!({"a": {"$n": "-1.5"}})));
    assert!(!holds("a < :minus", json!({"a": -1})));
}

#[test]
fn strings_are_ordered_by_bytes() {
    assert!(holds("a < b", json!({"a": "Z", "b": "a"})));
    assert!(holds("a > b", json!({"a": "\u{10000}", "b": "\u{ffff}"})));
    assert!(holds("a < b", json!({"a": {"$b": "a"}, "b": {"$b": "ab"}})));
}

#[test]
fn containers_are_equal_by_content() {
    assert!(holds("a = b", json!({"a": {"$ss": ["x", "y"]}, "b": {"$ss": ["y", "x"]}})));
    assert!(holds("a = b", json!({"a": {"x": [1, {"y": null}]}, "b": {"x": [1.0, {"y": null}]}})));
    assert!(holds("a <> b", json!({"a": [1, 2], "b": [2, 1]})));
}

#[test]
fn other_types_are_unequal_and_have_no_order() {
    for text in ["a = :x", "a < :x", "a <= :x", "a > :x", "a >= :x", "a between :x and :y", "a in (:x, :y)"] {
        assert!(!holds(text, json!({"a": 5})), "{text}");
        assert!(holds(&format!("not {text}"), json!({"a": 5})), "{text}");
    }
    assert!(holds("a <> :x", json!({"a": 5})));
    assert!(!holds("a < b", json!({"a": true, "b": false})));
}

#[test]
fn a_missing_attribute_is_only_unequal() {
    for text in ["b = :x", "b = c", "b < c", "b >= :one", ":one > b", "b in (c)", "b between :one and :two"] {
        assert!(!holds(text, json!({"a": 5})), "{text}");
    }
    assert!(holds("b <> :x", json!({"a": 5})));
    assert!(holds("b <> c", json!({"a": 5})));
    assert!(holds("a.x <> a[0]", json!({"a": 5})));
}

#[test]
fn between_includes_both_bounds() {
    assert!(holds("a between :one and :five", json!({"a": 1})));
    assert!(holds("a between :one and :five", json!({"a": 5})));
    assert!(!holds("a between :one and :five", json!({"a": 6})));
    assert!(holds(":two between a and b", json!({"a": 1, "b": 2})));
}

#[test]
fn in_compares_with_each() {
    assert!(holds("a in (:x, :five, b)", json!({"a": 5})));
    assert!(holds("a in (:x, b)", json!({"a": [1], "b": [1]})));
    assert!(!holds("a in (:x)", json!({"a": "y"})));
}

#[test]
fn and_binds_closer_than_or_and_not_closest() {
    assert!(holds("a = :one or a = :two and a = :five", json!({"a": 1})));
    assert!(!holds("(a = :one or a = :two) and a = :five", json!({"a": 1})));
    assert!(holds("not a = :two and a = :one", json!({"a": 1})));
    assert!(holds("NOT (a = :two AND a = :one) Or a = :five", json!({"a": 1})));
    assert!(holds("not not a = :one", json!({"a": 1})));
    assert!(holds("a between :one and :two and b = :x", json!({"a": 1, "b": "x"})));
}

#[test]
fn operands_may_stand_in_parentheses() {
    assert!(holds("(a) = (:one)", json!({"a": 1})));
    assert!(holds("(a = (:one))", json!({"a": 1})));
    assert!(holds("((a) = :one) and (b in ((:x), (:y)))", json!({"a": 1, "b": "y"})));
    assert!(holds("(size((a))) = :one and attribute_exists((a))", json!({"a": "é"})));
}

#[test]
fn existence_is_told_for_any_path() {
    let json = json!({"a": {"b": [null, {"c": 1}]}, "a.b": 1});
    assert!(holds("attribute_exists(a.b[1].c) and attribute_exists(a . b [ 0 ])", json.clone()));
    assert!(holds("attribute_not_exists(a.b[2]) and attribute_not_exists(a.b.c)", json.clone()));
    assert!(holds("attribute_exists(#dot) and attribute_exists(#a.#b)", json));
}

#[test]
fn types_are_told_by_their_names() {
    assert!(holds("attribute_type(a, :SS)", json!({"a": {"$ss": ["x"]}})));
    assert!(!holds("attribute_type(a, :S)", json!({"a": 1})));
    assert!(!holds("attribute_type(b, :S)", json!({"a": 1})));
    assert!(holds("attribute_type(:x, :S)", json!({})));
}

#[test]
fn prefixes_are_of_strings_or_binary_values() {
    assert!(holds("begins_with(a, :x)", json!({"a": "xyz"})));
    assert!(holds("begins_with(a, :bin)", json!({"a": {"$b": "abc"}})));
    assert!(!holds("begins_with(a, :x)", json!({"a": {"$b": "xyz"}})));
    assert!(!holds("begins_with(a, :x)", json!({"a": ["x"]})));
    assert!(holds("begins_with(:xy, a)", json!({"a": "x"})));
}

#[test]
fn contains_looks_into_strings_sets_and_lists() {
    assert!(holds("contains(a, :xy)", json!({"a": "axyb"})));
    assert!(holds("contains(a, :bin)", json!({"a": {"$b": "aab"}})));
    assert!(holds("contains(a, b)", json!({"a": {"$ss": ["p", "q"]}, "b": "q"})));
    assert!(holds("contains(a, :one)", json!({"a": {"$ns": [1, 2]}})));
    assert!(holds("contains(a, :list)", json!({"a": [[1], 2]})));
    assert!(holds("contains(:xy, a)", json!({"a": "y"})));
    assert!(!holds("contains(a, :x)", json!({"a": {"x": 1}})));
    assert!(!holds("contains(a, :x)", json!({"a": {"$bs": ["x"]}})));
    assert!(!holds("contains(a, :ss)", json!({"a": {"$ss": ["a", "b"]}})));
}

#[test]
fn size_counts_utf16_units_bytes_or_elements() {
    for value in [
        json!("😀"),
        json!({"$b": "ab"}),
        json!({"$ss": ["a", "b"]}),
        json!([1, 2]),
        json!({"x": 1, "y": {"z": 2}}),
    ] {
        assert!(holds("size(a) = :two", json!({ "a": value })), "{value}");
    }
    assert!(holds("size(:ss2) = :two", json!({})));
    assert!(holds("size(a) between :one and :five", json!({"a": "xyz"})));
}

#[test]
fn size_of_what_has_none_is_missing() {
    for value in [json!(2), json!(true), json!(null)] {
        assert!(!holds("size(a) = :two", json!({ "a": value })), "{value}");
        assert!(holds("size(a) <> :two", json!({ "a": value })), "{value}");
    }
    assert!(!holds("size(a) = :x", json!({"a": "x"})));
    assert!(!holds("size(b) >= :minus", json!({"a": "x"})));
}

#[test]
fn of_a_missing_item_only_absence_holds() {
    assert!(holds_without_item("attribute_not_exists(a)"));
    assert!(holds_without_item("a <> :x"));
    assert!(holds_without_item("not contains(a, :x)"));
    for text in ["attribute_exists(a)", "a = :x", "a < :x", "attribute_type(a, :S)", "size(a) < :one"] {
        assert!(!holds_without_item(text), "{text}");
    }
}

#[test]
fn attributes_are_named_in_order() {
    let condition = condition("#a = :x and (size(c.d) > b[0] or not attribute_exists(e))");
    assert_eq!(condition.attribute_names().collect::<Vec<_>>(), ["a", "c", "b", "e"]);
}
