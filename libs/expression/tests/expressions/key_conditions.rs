//! Key conditions, before they meet a schema.

use serde_json::json;
use tradewind_expression::{KeyCondition, KeyTerm, KeyTest, Kind};

use crate::sample::{placeholders, stored};

fn terms(text: &str) -> Vec<KeyTerm> {
    KeyCondition::parse(text, &mut placeholders()).unwrap_or_else(|e| panic!("{text}: {e}")).terms
}

fn term(name: &str, test: KeyTest) -> KeyTerm {
    KeyTerm { name: name.to_owned(), test }
}

#[test]
fn terms_are_joined_by_and_in_any_grouping() {
    let expected = vec![
        term("a", KeyTest::Eq(stored(&json!("x")))),
        term("b", KeyTest::Gt(stored(&json!(1)))),
        term("c", KeyTest::BeginsWith(stored(&json!("y")))),
    ];
    assert_eq!(terms("#a = :x AND b > :one and begins_with(c, :y)"), expected);
    assert_eq!(terms("(a = (:x) and (b > :one)) and (begins_with(c, :y))"), expected);
}

#[test]
fn each_comparison_has_its_test() {
    let one = || stored(&json!(1));
    for (text, test) in [
        ("a < :one", KeyTest::Lt(one())),
        ("a <= :one", KeyTest::Le(one())),
        ("a >= :one", KeyTest::Ge(one())),
        ("a between :one and :two", KeyTest::Between(one(), stored(&json!(2)))),
        (":one = a", KeyTest::Eq(one())),
        (":one < a", KeyTest::Gt(one())),
        (":one >= a", KeyTest::Le(one())),
    ] {
        assert_eq!(terms(text), [term("a", test)], "{text}");
    }
}

#[test]
fn other_operators_are_refused_by_name() {
    for (text, expected) in [
        ("a = :x or b = :x", "Invalid operator used in KeyConditionExpression: OR"),
        ("a = :x and not b = :x", "Invalid operator used in KeyConditionExpression: NOT"),
        ("a <> :x", "Invalid operator used in KeyConditionExpression: <>"),
        ("a in (:x)", "Invalid operator used in KeyConditionExpression: IN"),
        ("attribute_exists(a)", "Invalid operator used in KeyConditionExpression: attribute_exists"),
        ("contains(a, :x)", "Invalid operator used in KeyConditionExpression: contains"),
        ("a = :x and a > :x", "KeyConditionExpressions must only contain one condition per key"),
        ("a.b = :x", "KeyConditionExpressions cannot have conditions on nested attributes"),
        ("begins_with(a[0], :x)", "KeyConditionExpressions cannot have conditions on nested attributes"),
        ("size(a) = :one", "KeyConditionExpressions cannot contain nested operations"),
        (
            "a = b",
            "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
        ),
        (":x = :y", "Invalid condition in KeyConditionExpression: No key attribute specified"),
        (
            "begins_with(:x, a)",
            "Invalid condition in KeyConditionExpression: begins_with operator must have the key attribute as its \
             first operand",
        ),
        (
            ":one between a and b",
            "Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as its \
             first operand",
        ),
        ("a = ", "Invalid KeyConditionExpression: Syntax error; token: \"<EOF>\", near: \"= \""),
        (
            "a between :y and :x",
            "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal \
             to lower bound; lower bound operand: AttributeValue: {S:y}, upper bound operand: AttributeValue: {S:x}",
        ),
    ] {
        let error = KeyCondition::parse(text, &mut placeholders()).expect_err(text);
        assert_eq!(error.message(Kind::KeyCondition), expected, "{text}");
    }
}
