//! What is wrong with an update before any item is seen, and which of several errors is told.

use crate::sample::{update, update_error};

fn each(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(update_error(text), *expected, "{text}");
    }
}

#[test]
fn syntax_errors_name_the_token_and_what_is_near() {
    each(&[
        ("", "The expression can not be empty;"),
        ("set", r#"Syntax error; token: "<EOF>", near: "set""#),
        ("a = :x", r#"Syntax error; token: "a", near: "a =""#),
        ("SET a = :x, REMOVE b", r#"Syntax error; token: "REMOVE", near: ", REMOVE b""#),
        ("SET a = :x; ", r#"Syntax error; token: ";", near: ":x; ""#),
        ("SET a = :x and b = :x", r#"Syntax error; token: "and", near: ":x and b""#),
        ("SET a = :one + :one + :one", r#"Syntax error; token: "+", near: ":one + :one""#),
        ("SET a = (:one + :one) + :one", r#"Syntax error; token: "+", near: ") + :one""#),
        ("SET a = if_not_exists(a, :one + :one)", r#"Syntax error; token: "+", near: ":one + :one""#),
        ("SET a = -:one", r#"Syntax error; token: "-", near: "= -:one""#),
        ("SET (a) = :x", r#"Syntax error; token: "(", near: "SET (a""#),
        ("SET set = :x", r#"Syntax error; token: "set", near: "SET set =""#),
        ("ADD a b", r#"Syntax error; token: "b", near: "a b""#),
        ("ADD a (:one)", r#"Syntax error; token: "(", near: "a (:one""#),
        ("DELETE a", r#"Syntax error; token: "<EOF>", near: "a""#),
        ("REMOVE a = :x", r#"Syntax error; token: "=", near: "a = :x""#),
        ("REMOVE foo(a)", r#"Syntax error; token: "(", near: "foo(a""#),
    ]);
}

#[test]
fn sections_come_once_each_in_any_order_and_case() {
    update("DELETE a :ss ADD b :one rEmOvE c SET d = :x");
    for name in ["SET", "REMOVE", "ADD", "DELETE"] {
        let section = |path: &str| match name {
            "SET" => format!("set {path} = :x"),
            "REMOVE" => format!("remove {path}"),
            _ => format!("{} {path} :ss", name.to_lowercase()),
        };
        assert_eq!(
            update_error(&format!("{} {}", section("a"), section("b"))),
            format!("The \"{name}\" section can only be used once in an update expression;")
        );
    }
}

#[test]
fn functions_have_their_places_and_operands() {
    let misused = "The function is not allowed to be used this way in an expression; function: list_append";
    let count = "Incorrect number of operands for operator or function; operator or function: ";
    each(&[
        ("SET a = foo(b)", "Invalid function name; function: foo"),
        ("SET a = If_not_exists(b, :x)", "Invalid function name; function: If_not_exists"),
        ("SET a = size(b)", "The function is not allowed in an update expression; function: size"),
        ("SET a = list_append(:list, :list) + :one", misused),
        ("SET a = list_append(list_append(b, :list), :list)", misused),
        ("SET a = if_not_exists(b, list_append(b, :list))", misused),
        ("SET a = list_append(:list)", &format!("{count}list_append, number of operands: 1")),
        ("SET a = if_not_exists(b, :x, :x)", &format!("{count}if_not_exists, number of operands: 3")),
        (
            "SET a = if_not_exists(:x, :x)",
            "Operator or function requires a document path; operator or function: if_not_exists",
        ),
        (
            "SET a = if_not_exists(b.c, b.c)",
            "The first operand must be distinct from the remaining operands for this operator or function; \
             operator: if_not_exists, first operand: [b, c]",
        ),
    ]);
    update("SET a = list_append(if_not_exists(a, :none), :list), b = if_not_exists(c, if_not_exists(d, :x))");
    update("SET a = if_not_exists(b, :one) + if_not_exists((c), :one)");
}

#[test]
fn constants_must_be_of_the_types_their_operators_take() {
    let kind = "Incorrect operand type for operator or function; operator or function: ";
    let section = |section, found| {
        format!(
            "Incorrect operand type for operator or function; operator: {section}, operand type: {found}, \
             typeSet: ALLOWED_FOR_{section}_OPERAND"
        )
    };
    each(&[
        ("SET a = :one + :x", &format!("{kind}+, operand type: S")),
        ("SET a = :list - :one", &format!("{kind}-, operand type: L")),
        ("SET a = list_append(a, :x)", &format!("{kind}list_append, operand type: S")),
        ("ADD a :x", &section("ADD", "STRING")),
        ("ADD a :list", &section("ADD", "LIST")),
        ("ADD a :true", &section("ADD", "BOOLEAN")),
        ("DELETE a :one", &section("DELETE", "NUMBER")),
        ("DELETE a :map", &section("DELETE", "MAP")),
    ]);
    update("SET a = a + b, c = list_append(if_not_exists(c, :x), :list)");
}

#[test]
fn paths_must_neither_overlap_nor_conflict() {
    let clash = |how: &str, one: &str, two: &str| {
        format!(
            "Two document paths {how} with each other; must remove or rewrite one of these paths; \
             path one: {one}, path two: {two}"
        )
    };
    each(&[
        ("SET a = :x, a = :y", &clash("overlap", "[a]", "[a]")),
        ("SET a.b = :x REMOVE a", &clash("overlap", "[a, b]", "[a]")),
        ("ADD a :one DELETE #a.#b :ss", &clash("overlap", "[a]", "[a, b]")),
        ("SET a[0] = :x, a.b = :x", &clash("conflict", "[a, [0]]", "[a, b]")),
    ]);
    update("SET a.b = a.c REMOVE a.c ADD a.d :one");
}

#[test]
fn an_earlier_pass_hides_a_later_one() {
    let in_order = [
        ("SET ABORT = :x", "Attribute name is a reserved keyword; reserved keyword: ABORT"),
        ("SET a = foo(b)", "Invalid function name; function: foo"),
        (
            "SET #undefined = :x",
            "An expression attribute name used in the document path is not defined; attribute name: #undefined",
        ),
        (
            "SET c = :undefined",
            "An expression attribute value used in expression is not defined; attribute value: :undefined",
        ),
        (
            "SET d = :x, d.e = :x",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; \
             path one: [d], path two: [d, e]",
        ),
        (
            "SET f.g = :x, f[0] = :x",
            "Two document paths conflict with each other; must remove or rewrite one of these paths; \
             path one: [f, g], path two: [f, [0]]",
        ),
        (
            "SET h = :x + :one",
            "Incorrect operand type for operator or function; operator or function: +, operand type: S",
        ),
        (
            "SET i = list_append(j, j) + :one",
            "The function is not allowed to be used this way in an expression; function: list_append",
        ),
    ];
    for (at, (early, expected)) in in_order.iter().enumerate() {
        for (late, _) in &in_order[at + 1..] {
            let text = format!("{late}, {}", &early[4..]);
            assert_eq!(update_error(&text), *expected, "{text}");
        }
    }
    assert_eq!(update_error("SET a = foo(ABORT)"), in_order[0].1);
    assert_eq!(update_error("SET a = foo(b) SET c = :x"), in_order[1].1);
    let section = "The \"SET\" section can only be used once in an update expression;";
    assert_eq!(update_error("SET #undefined = :x SET c = :x"), section);
}
