//! What is wrong with a condition, and which of several errors is told.

use crate::sample::condition_error;

fn each(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(condition_error(text), *expected, "{text}");
    }
}

#[test]
fn syntax_errors_name_the_token_and_what_is_near() {
    each(&[
        ("", "The expression can not be empty;"),
        ("   ", r#"Syntax error; token: "<EOF>", near: "   ""#),
        ("a", r#"Syntax error; token: "<EOF>", near: "a""#),
        ("a = ", r#"Syntax error; token: "<EOF>", near: "= ""#),
        ("a b c d", r#"Syntax error; token: "b", near: "a b c""#),
        ("(a = :x", r#"Syntax error; token: "<EOF>", near: ":x""#),
        ("a = :x)", r#"Syntax error; token: ")", near: ":x)""#),
        ("a in ()", r#"Syntax error; token: ")", near: "()""#),
        ("a in (:x,)", r#"Syntax error; token: ")", near: ",)""#),
        ("a = :x or or b = :x", r#"Syntax error; token: "or", near: "or or b""#),
        ("a = b = :x", r#"Syntax error; token: "=", near: "b = :x""#),
        ("(a) and b = :x", r#"Syntax error; token: "and", near: ") and b""#),
        ("(a = :x) = :x", r#"Syntax error; token: "=", near: ") = :x""#),
        ("((a))", r#"Syntax error; token: "<EOF>", near: ")""#),
        ("a = 1", r#"Syntax error; token: "1", near: "= 1""#),
        ("a = \"x\"", r#"Syntax error; token: """, near: "= "x""#),
        ("a + b = :one", r#"Syntax error; token: "+", near: "a + b""#),
        ("a[-1] = :x", r#"Syntax error; token: "-", near: "[-1""#),
        ("set = :x", r#"Syntax error; token: "set", near: "set =""#),
        ("foo(", r#"Syntax error; token: "<EOF>", near: "(""#),
        ("attribute_exists()", r#"Syntax error; token: ")", near: "()""#),
    ]);
}

#[test]
fn doubled_parentheses_are_redundant() {
    for text in ["((a = :x))", "a = ((:x))", "((a)) = :x", "not ((a = :x))", "attribute_exists(((a)))"] {
        assert_eq!(condition_error(text), "The expression has redundant parentheses;", "{text}");
    }
}

#[test]
fn names_must_not_be_reserved_words_of_any_case() {
    each(&[
        ("ABORT = :x", "Attribute name is a reserved keyword; reserved keyword: ABORT"),
        ("a.aBort = :x", "Attribute name is a reserved keyword; reserved keyword: aBort"),
        ("size(size) = :one", "Attribute name is a reserved keyword; reserved keyword: size"),
    ]);
    crate::sample::condition("#size = :x and attribute_exists(aborted)");
}

#[test]
fn functions_have_their_places() {
    each(&[
        ("foo(a)", "Invalid function name; function: foo"),
        ("SIZE(a) = :one", "Invalid function name; function: SIZE"),
        ("size(a)", "The function is not allowed to be used this way in an expression; function: size"),
        (
            "a = attribute_exists(b)",
            "The function is not allowed to be used this way in an expression; function: attribute_exists",
        ),
        (
            "if_not_exists(a, :x) = :x",
            "The function is not allowed in a condition expression; function: if_not_exists",
        ),
    ]);
}

#[test]
fn functions_have_their_operands() {
    let count = "Incorrect number of operands for operator or function; operator or function: ";
    let kind = "Incorrect operand type for operator or function; operator or function: ";
    let path = "Operator or function requires a document path; operator or function: ";
    each(&[
        ("attribute_exists(a, b)", &format!("{count}attribute_exists, number of operands: 2")),
        ("begins_with(a)", &format!("{count}begins_with, number of operands: 1")),
        ("attribute_exists(:x)", &format!("{path}attribute_exists")),
        ("attribute_not_exists(size(a))", &format!("{path}attribute_not_exists")),
        ("begins_with(a, :one)", &format!("{kind}begins_with, operand type: N")),
        ("begins_with(:ss, a)", &format!("{kind}begins_with, operand type: SS")),
        ("size(:one) = :one", &format!("{kind}size, operand type: N")),
        ("size(size(a)) = :one", &format!("{kind}size, operand type: N")),
        ("attribute_type(a, :one)", &format!("{kind}attribute_type, operand type: N")),
        (
            "attribute_type(a, b)",
            &format!("{kind}attribute_type, operand type: {{NS,SS,L,BS,N,M,B,BOOL,NULL,S}}"),
        ),
        (
            "attribute_type(a, :x)",
            "Invalid attribute type name found; type: x, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
        ),
    ]);
}

#[test]
fn constants_must_have_an_order_where_one_is_asked_for() {
    let kind = "Incorrect operand type for operator or function; operator or function: ";
    each(&[
        ("a < :ss", &format!("{kind}<, operand type: SS")),
        ("a >= :true", &format!("{kind}>=, operand type: BOOL")),
        ("a <= :null", &format!("{kind}<=, operand type: NULL")),
        ("a between :list and :map", &format!("{kind}BETWEEN, operand type: L")),
    ]);
    crate::sample::condition("a = :ss and a <> :null and :x < :one");
}

#[test]
fn constant_bounds_must_be_of_one_type_and_in_order() {
    each(&[
        (
            "a between :y and :x",
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; \
             lower bound operand: AttributeValue: {S:y}, upper bound operand: AttributeValue: {S:x}",
        ),
        (
            "a between :x and :one",
            "The BETWEEN operator requires same data type for lower and upper bounds; \
             lower bound operand: AttributeValue: {S:x}, upper bound operand: AttributeValue: {N:1}",
        ),
    ]);
    crate::sample::condition("a between :one and :one and a between :x and b");
}

#[test]
fn the_first_operand_must_not_be_among_the_others() {
    let same = |operator: &str, operand: &str| {
        format!(
            "The first operand must be distinct from the remaining operands for this operator or function; \
             operator: {operator}, first operand: {operand}"
        )
    };
    each(&[
        ("a = #a", &same("=", "[a]")),
        ("a.b[0] <> a.b[0]", &same("<>", "[a, b, [0]]")),
        ("a in (b, a)", &same("IN", "[a]")),
        ("a between b and a", &same("BETWEEN", "[a]")),
        ("contains(a, a)", &same("contains", "[a]")),
        ("begins_with(a, a)", &same("begins_with", "[a]")),
    ]);
    crate::sample::condition(":x = :x and size(a) = size(a)");
}

#[test]
fn an_earlier_pass_hides_a_later_one() {
    let in_order = [
        ("((a = :x))", "The expression has redundant parentheses;"),
        ("foo(a)", "Invalid function name; function: foo"),
        ("size(a)", "The function is not allowed to be used this way in an expression; function: size"),
        ("ABORT = :x", "Attribute name is a reserved keyword; reserved keyword: ABORT"),
        (
            "a = :undefined",
            "An expression attribute value used in expression is not defined; attribute value: :undefined",
        ),
        (
            "begins_with(a, :one)",
            "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
        ),
        (
            "a = a",
            "The first operand must be distinct from the remaining operands for this operator or function; \
             operator: =, first operand: [a]",
        ),
    ];
    for (at, (early, expected)) in in_order.iter().enumerate() {
        for (late, _) in &in_order[at..] {
            assert_eq!(condition_error(&format!("{late} and {early}")), *expected);
        }
    }
}
