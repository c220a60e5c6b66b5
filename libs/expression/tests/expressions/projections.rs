//! What projections leave of items.

use serde_json::json;
use tradewind_expression::Projection;

use crate::sample::{item, projected, projection_error};

#[test]
fn parts_keep_their_hierarchy() {
    let whole = json!({"a": {"b": {"c": 1, "d": 2}, "e": 3}, "f": [1, [2, 3]], "g": 4});
    assert_eq!(projected("a.b.c, g", whole.clone()), item(json!({"a": {"b": {"c": 1}}, "g": 4})));
    assert_eq!(projected("a.e, a.b.d", whole.clone()), item(json!({"a": {"b": {"d": 2}, "e": 3}})));
    assert_eq!(projected("f[1][0]", whole), item(json!({"f": [[2]]})));
}

#[test]
fn lists_are_compacted_in_their_own_order() {
    let list = json!({"a": [0, 1, 2, {"x": 3, "y": 4}]});
    assert_eq!(projected("a[2], a[0]", list.clone()), item(json!({"a": [0, 2]})));
    assert_eq!(projected("a[9], a[3].y, a[1]", list), item(json!({"a": [1, {"y": 4}]})));
}

#[test]
fn what_is_not_there_is_left_out() {
    let whole = json!({"a": {"b": 1}, "f": [1], "g": 4});
    for text in ["z", "a.z", "a.b.c", "a[0]", "f[1]", "f.x", "g[0]", "z.z, z2[0]"] {
        assert_eq!(projected(text, whole.clone()), item(json!({})), "{text}");
    }
    assert_eq!(projected("z, g", whole), item(json!({"g": 4})));
}

#[test]
fn names_project_whole_attributes() {
    let projection = Projection::from_names(vec!["a.b".into(), "c".into(), "c".into()]);
    let whole = item(json!({"a": {"b": 1}, "a.b": 2, "c": [3], "d": 4}));
    assert_eq!(projection.project(whole.as_ref()), item(json!({"a.b": 2, "c": [3]})));
    assert_eq!(projection.attribute_names().collect::<Vec<_>>(), ["a.b", "c"]);
}

#[test]
fn paths_must_neither_overlap_nor_conflict() {
    let clash = |how: &str, one: &str, two: &str| {
        format!(
            "Two document paths {how} with each other; must remove or rewrite one of these paths; \
             path one: {one}, path two: {two}"
        )
    };
    for (text, expected) in [
        ("a, a", clash("overlap", "[a]", "[a]")),
        ("a.b, c, a", clash("overlap", "[a, b]", "[a]")),
        ("a, #a.#b", clash("overlap", "[a]", "[a, b]")),
        ("a[0], a[0].x", clash("overlap", "[a, [0]]", "[a, [0], x]")),
        ("a.b, a[1]", clash("conflict", "[a, b]", "[a, [1]]")),
        ("a[0].x, a.c.d", clash("conflict", "[a, [0], x]", "[a, c, d]")),
        ("a.b, a[1], c, c", clash("overlap", "[c]", "[c]")),
    ] {
        assert_eq!(projection_error(text), expected, "{text}");
    }
    projected("a.b, a.c, #dot, d[0], d[1]", json!({}));
}

#[test]
fn only_paths_are_projected() {
    for (text, expected) in [
        ("", "The expression can not be empty;"),
        ("a,", r#"Syntax error; token: "<EOF>", near: ",""#),
        ("a b", r#"Syntax error; token: "b", near: "a b""#),
        ("size(a)", r#"Syntax error; token: "(", near: "size(a""#),
        ("a[00]", r#"Syntax error; token: "0", near: "00]""#),
        ("a, :x", r#"Syntax error; token: ":x", near: ", :x""#),
        ("or", r#"Syntax error; token: "or", near: "or""#),
        ("a, ABORT, #undefined", "Attribute name is a reserved keyword; reserved keyword: ABORT"),
    ] {
        assert_eq!(projection_error(text), expected, "{text}");
    }
}
