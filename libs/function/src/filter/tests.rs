//! Each operator of the language, on records as functions get them, and what is refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Filters, Pattern, wildcard::Wildcard};

fn record() -> Value {
    json!({
        "eventName": "MODIFY",
        "eventSource": "aws:dynamodb",
        "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
        "dynamodb": {
            "ApproximateCreationDateTime": 1479499740,
            "SizeBytes": 26,
            "Keys": {"Id": {"S": "order#17"}},
            "NewImage": {
                "Id": {"S": "order#17"}, "State": {"S": "Shipped"}, "Empty": {"S": ""}, "Gone": {"NULL": true},
                "Total": {"N": "101"}, "Tags": {"SS": ["red", "blue"]}, "Ip": {"S": "10.1.2.3"},
                "Lines": {"L": [{"M": {"a": {"S": "1"}, "b": {"S": "2"}}}, {"M": {"a": {"S": "3"}, "b": {"S": "4"}}}]}
            }
        },
        "nothing": null, "list": [], "ratio": 0.5
    })
}

fn matches(pattern: &Value) -> bool {
    Pattern::parse(&pattern.to_string()).unwrap().matches(&record())
}

fn new_image(field: &str, value: Value) -> Value {
    let mut image = serde_json::Map::new();
    image.insert(field.to_owned(), value);
    json!({"dynamodb": {"NewImage": image}})
}

#[test]
fn every_operator_matches_what_it_should_and_nothing_else() {
    let state = |matcher: Value| new_image("State", json!({"S": [matcher]}));
    let cases = [
        (json!({}), true),
        (json!({"eventName": ["INSERT", "MODIFY"]}), true),
        (json!({"eventName": ["INSERT"]}), false),
        (json!({"eventName": ["MODIFY"], "eventSource": ["other"]}), false),
        (json!({"userIdentity": {"type": ["Service"], "principalId": ["dynamodb.amazonaws.com"]}}), true),
        (new_image("Empty", json!({"S": [""]})), true),
        (new_image("State", json!({"S": [""]})), false),
        (json!({"nothing": [null]}), true),
        (json!({"eventName": [null]}), false),
        (new_image("Gone", json!({"NULL": [true]})), true),
        (state(json!({"prefix": "Ship"})), true),
        (state(json!({"prefix": "ship"})), false),
        (state(json!({"prefix": {"equals-ignore-case": "ship"}})), true),
        (state(json!({"suffix": "ped"})), true),
        (state(json!({"suffix": {"equals-ignore-case": "PED"}})), true),
        (state(json!({"equals-ignore-case": "sHIPPED"})), true),
        (state(json!({"equals-ignore-case": "shippe"})), false),
        (state(json!({"wildcard": "S*p*d"})), true),
        (state(json!({"wildcard": "*x*"})), false),
        (state(json!({"anything-but": "Shipped"})), false),
        (state(json!({"anything-but": ["New", "Paid"]})), true),
        (state(json!({"anything-but": {"prefix": "Sh"}})), false),
        (state(json!({"anything-but": {"prefix": ["N", "P"]}})), true),
        (state(json!({"anything-but": {"suffix": "x"}})), true),
        (state(json!({"anything-but": {"equals-ignore-case": ["SHIPPED"]}})), false),
        (state(json!({"anything-but": {"wildcard": "*pp*"}})), false),
        (new_image("Missing", json!({"S": [{"anything-but": "x"}]})), false),
        (json!({"dynamodb": {"SizeBytes": [{"numeric": [">", 25, "<=", 26]}]}}), true),
        (json!({"dynamodb": {"SizeBytes": [{"numeric": ["=", 26]}]}}), true),
        (json!({"dynamodb": {"SizeBytes": [{"numeric": ["<", 26]}]}}), false),
        (json!({"dynamodb": {"SizeBytes": [26]}}), true),
        (json!({"ratio": [{"numeric": [">=", 0.5]}]}), true),
        // Numbers of items are strings in records.
        (new_image("Total", json!({"N": [{"numeric": [">", 100]}]})), false),
        (new_image("Total", json!({"N": ["101"]})), true),
        (new_image("Missing", json!({"S": [{"exists": false}]})), true),
        (new_image("State", json!({"S": [{"exists": true}]})), true),
        (new_image("State", json!([{"exists": true}])), false),
        (json!({"dynamodb": {"OldImage": {"State": {"S": [{"exists": false}]}}}}), true),
        (json!({"list": [{"exists": false}]}), true),
        (new_image("Tags", json!({"SS": ["blue", "green"]})), true),
        (new_image("Ip", json!({"S": [{"cidr": "10.1.0.0/16"}]})), true),
        (new_image("Ip", json!({"S": [{"cidr": "10.2.0.0/16"}]})), false),
        (new_image("Ip", json!({"S": [{"cidr": "::/0"}]})), false),
        (json!({"$or": [{"eventName": ["INSERT"]}, {"dynamodb": {"SizeBytes": [26]}}]}), true),
        (json!({"$or": [{"eventName": ["INSERT"]}, {"eventName": ["REMOVE"]}]}), false),
        (json!({"eventName": ["REMOVE"], "$or": [{"ratio": [0.5]}, {"ratio": [1]}]}), false),
        (json!({"dynamodb": {"$or": [{"SizeBytes": [1]}, {"Keys": {"Id": {"S": ["order#17"]}}}]}}), true),
        // Both fields in one element of the list.
        (new_image("Lines", json!({"L": {"M": {"a": {"S": ["1"]}, "b": {"S": ["2"]}}}})), true),
        (new_image("Lines", json!({"L": {"M": {"a": {"S": ["1"]}, "b": {"S": ["4"]}}}})), false),
    ];
    for (pattern, expected) in cases {
        assert_eq!(matches(&pattern), expected, "{pattern}");
    }
}

#[test]
fn what_is_no_pattern_is_refused() {
    let deep = "{\"a\":".repeat(100) + "[1]" + &"}".repeat(100);
    let cases = [
        "",
        "[]",
        "{",
        r#"{"a": "b"}"#,
        r#"{"a": 1}"#,
        r#"{"a": []}"#,
        r#"{"a": {}}"#,
        r#"{"a": [[1]]}"#,
        r#"{"a": [{"prefix": 1}]}"#,
        r#"{"a": [{"prefix": "x", "suffix": "y"}]}"#,
        r#"{"a": [{"unknown": "x"}]}"#,
        r#"{"a": [{"exists": "yes"}]}"#,
        r#"{"a": [{"numeric": [">"]}]}"#,
        r#"{"a": [{"numeric": [">", "1"]}]}"#,
        r#"{"a": [{"numeric": [">", 1, ">", 2]}]}"#,
        r#"{"a": [{"numeric": [">", 2, "<", 1]}]}"#,
        r#"{"a": [{"numeric": ["=", 6000000000]}]}"#,
        r#"{"a": [{"anything-but": {"numeric": ["=", 1]}}]}"#,
        r#"{"a": [{"anything-but": []}]}"#,
        r#"{"a": [{"cidr": "10.0.0.0/33"}]}"#,
        r#"{"a": [{"wildcard": "a**b"}]}"#,
        &deep,
    ];
    for case in cases {
        assert!(Pattern::parse(case).is_err(), "{case}");
    }
}

#[test]
fn filters_are_alternatives_and_none_pass_everything() {
    let text = record().to_string();
    let pass = |patterns: &[&str]| Filters::parse(patterns.iter().copied()).unwrap().pass(text.as_bytes());
    assert!(pass(&[]));
    assert!(pass(&[r#"{"eventName": ["INSERT"]}"#, r#"{"eventName": ["MODIFY"]}"#]));
    assert!(!pass(&[r#"{"eventName": ["INSERT"]}"#]));
}

/// Tries every way to place the stars.
fn slow_wildcard(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|skip| slow_wildcard(rest, &text[skip..])),
        Some((literal, rest)) => text.first() == Some(literal) && slow_wildcard(rest, &text[1..]),
    }
}

proptest! {
    #[test]
    fn wildcards_match_as_the_obvious_search_does(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        match Wildcard::parse(&pattern) {
            Some(wildcard) => prop_assert_eq!(
                wildcard.matches(&text),
                slow_wildcard(&characters(&pattern), &characters(&text))
            ),
            None => prop_assert!(pattern.contains("**")),
        }
    }

    #[test]
    fn a_pattern_of_a_records_own_scalars_matches_it(value in "[a-z]{1,5}", number in -1000i64..1000) {
        let record = json!({"a": {"s": value, "n": number}});
        let pattern = json!({"a": {"s": [value], "n": [{"numeric": ["=", number]}]}});
        prop_assert!(Pattern::parse(&pattern.to_string()).unwrap().matches(&record));
        let other = json!({"a": {"s": [{"anything-but": value}]}});
        prop_assert!(!Pattern::parse(&other.to_string()).unwrap().matches(&record));
    }

    #[test]
    fn parsing_anything_never_panics(text in "\\PC{0,60}") {
        let _ = Pattern::parse(&text);
    }
}
