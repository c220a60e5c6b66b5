//! Bounds: what is beyond them is refused, fast, whatever its shape.

use std::time::{Duration, Instant};

use crate::sample::{condition, condition_error, projection_error, update, update_error};

#[test]
fn an_expression_has_at_most_4096_bytes() {
    let text = |bytes: usize| format!("attribute_exists({})", "a".repeat(bytes - 18));
    condition(&text(4096));
    let expected = "Expression size has exceeded the maximum allowed size; expression size: 4097";
    assert_eq!(condition_error(&text(4097)), expected);
    assert_eq!(projection_error(&"(".repeat(4097)), expected);
    assert_eq!(update_error(&"é".repeat(2048).replacen('é', "aaa", 1)), expected);
}

#[test]
fn an_expression_has_at_most_300_operators() {
    let expected = "The expression contains too many operators; operator count: 301";
    let chain = |terms| vec!["a=:x"; terms].join(" and ");
    condition(&chain(150));
    assert_eq!(condition_error(&chain(151)), expected);
    condition(&format!("{}a = :x", "not ".repeat(299)));
    assert_eq!(condition_error(&format!("{}a = :x", "not ".repeat(1000))), expected);
    let sums = |count| (0..count).map(|at| format!("a{at}=a+a")).collect::<Vec<_>>().join(",");
    update(&format!("SET {}", sums(300)));
    assert_eq!(update_error(&format!("SET {}", sums(301))), expected);
    update(&format!("SET {}", (0..400).map(|at| format!("a{at}=b")).collect::<Vec<_>>().join(",")));
}

#[test]
fn in_takes_at_most_100_operands() {
    condition(&format!("a in ({})", vec![":x"; 100].join(",")));
    assert_eq!(
        condition_error(&format!("a in ({})", vec![":x"; 101].join(","))),
        "The IN operator is provided with too many operands; number of operands: 101"
    );
}

#[test]
fn a_path_has_at_most_32_levels() {
    condition(&format!("attribute_exists(a{})", ".b".repeat(31)));
    let expected = "The document path has too many nesting levels; nesting levels: 33";
    assert_eq!(condition_error(&format!("attribute_exists(a{})", ".b".repeat(32))), expected);
    assert_eq!(projection_error(&format!("a{}", "[0]".repeat(32))), expected);
}

#[test]
fn a_list_index_fits_31_bits() {
    condition("attribute_exists(a[2147483647])");
    for index in ["2147483648", "99999999999999999999999999999999"] {
        let expected = format!("List index is not within the allowable range; index: [{index}]");
        assert_eq!(projection_error(&format!("a[{index}]")), expected);
    }
}

/// Runs on a quarter of the stack that servers' threads have.
fn with_little_stack(test: fn()) {
    std::thread::Builder::new().stack_size(512 << 10).spawn(test).unwrap().join().unwrap();
}

/// 4,096 nested parentheses have overflowed the stacks of other servers.
#[test]
fn depth_costs_no_stack() {
    with_little_stack(|| {
        let nested = |depth, inner: &str| format!("{}{inner}{}", "(".repeat(depth), ")".repeat(depth));
        let redundant = "The expression has redundant parentheses;";
        let operators = "The expression contains too many operators; operator count: 301";
        let end = r#"Syntax error; token: "<EOF>", near: "(""#;
        assert_eq!(condition_error(&nested(2000, "a = :x")), redundant);
        assert_eq!(condition_error(&format!("a = {}", nested(2000, ":x"))), redundant);
        assert_eq!(update_error(&format!("SET a = {}", nested(2000, ":x"))), redundant);
        assert_eq!(condition_error(&"(".repeat(4096)), end);
        assert_eq!(condition_error(&"not (".repeat(800)), end);
        assert_eq!(update_error(&format!("SET a={}", "(".repeat(4090))), end);
        assert_eq!(update_error(&format!("SET a = {}", "list_append(".repeat(340))), end);
        assert_eq!(condition_error(&format!("{}a{} = :x", "f(".repeat(1300), ")".repeat(1300))), operators);
    });
}

#[test]
fn the_deepest_valid_expressions_are_read() {
    with_little_stack(|| {
        let negated = format!("{}(a = :x){}", "not (".repeat(298), ")".repeat(298));
        assert_eq!(condition_error(&negated), "The expression has redundant parentheses;");
        let negated = format!("{}not a = :x{}", "not (".repeat(298), ")".repeat(298));
        assert!(condition(&negated).holds(None), "an odd number of negations");
        update(&format!("SET a = {}:x{}", "if_not_exists(b,".repeat(200), ")".repeat(200)));
    });
}

#[test]
fn thousands_of_paths_are_checked_quickly() {
    let started = Instant::now();
    let paths: Vec<String> = ('a'..='z').flat_map(|a| ('a'..='z').map(move |b| format!("{a}{b}x"))).collect();
    let text = paths.join(",");
    for _ in 0..100 {
        projection_error(&format!("{text},aax"));
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}
