//! Attribute values read and rendered: what is accepted, what is refused, and that both ways agree.

use proptest::prelude::*;
use tradewind_model::{Number, Tree, Type, ValueRef};

use super::{read_item, read_value, render_item, render_value};

fn rendered(json: &str) -> String {
    let stored = read_value(json).unwrap_or_else(|| panic!("{json} is no value"));
    let mut out = Vec::new();
    render_value(ValueRef::new(&stored), &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[test]
fn values_come_back_as_they_were_written() {
    for json in [
        r#"{"S":""}"#,
        r#"{"S":"a\"\\\n\u0001é𝄞"}"#,
        r#"{"N":"-12.5"}"#,
        r#"{"B":""}"#,
        r#"{"B":"AAECAw=="}"#,
        r#"{"BOOL":true}"#,
        r#"{"BOOL":false}"#,
        r#"{"NULL":true}"#,
        r#"{"SS":["","a","b"]}"#,
        r#"{"NS":["-1","0","2.5"]}"#,
        r#"{"BS":["YQ==","Yg=="]}"#,
        r#"{"L":[]}"#,
        r#"{"M":{}}"#,
        r#"{"L":[{"S":"x"},{"L":[{"N":"1"}]},{"M":{"a":{"NULL":true}}}]}"#,
        r#"{"M":{"a":{"S":"x"},"b":{"M":{"c":{"BOOL":true}}}}}"#,
    ] {
        assert_eq!(rendered(json), json);
    }
}

#[test]
fn values_are_canonical() {
    for (given, canonical) in [
        (r#"{"N":"1E3"}"#, r#"{"N":"1000"}"#),
        (r#"{"N":"-0.0"}"#, r#"{"N":"0"}"#),
        (r#"{"N":"+1.50"}"#, r#"{"N":"1.5"}"#),
        (r#"{"NS":["2","1.0"]}"#, r#"{"NS":["1","2"]}"#),
        (r#"{"SS":["b","a"]}"#, r#"{"SS":["a","b"]}"#),
        (r#"{"BOOL":"true"}"#, r#"{"BOOL":true}"#),
        (r#"{"NULL":"YES"}"#, r#"{"NULL":true}"#),
        (r#"{"S":"\u0061"}"#, r#"{"S":"a"}"#),
        (r#"{"M":{"b":{"S":"x"},"a":{"S":"y"},"b":{"S":"z"}}}"#, r#"{"M":{"a":{"S":"y"},"b":{"S":"z"}}}"#),
    ] {
        assert_eq!(rendered(given), canonical);
    }
}

#[test]
fn what_is_no_value_is_none() {
    for json in ["", "1", "{}", "[]", r#"{"S":1}"#, r#"{"N":"x"}"#, r#"{"SS":[]}"#, r#"{"S":"a"}}"#] {
        assert_eq!(read_value(json), None, "{json}");
    }
    assert_eq!(read_item(r#"{"a":{"S":1}}"#), None);
    let item = read_item(r#"{"a":{"S":"x"}}"#).expect("an item");
    let mut out = Vec::new();
    render_item(item.as_ref(), &mut out);
    assert_eq!(out, br#"{"a":{"S":"x"}}"#);
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let number = (any::<bool>(), 0u128..10u128.pow(38), -130i32..88)
        .prop_filter_map("in range", |(negative, c, e)| Number::from_parts(negative, c, e).ok());
    let stored = number.clone().prop_map(|number| {
        let mut out = Vec::new();
        number.encode(&mut out);
        out
    });
    let set = |kind, element: BoxedStrategy<Vec<u8>>| {
        prop::collection::btree_set(element, 1..6).prop_map(move |elements| Tree::Set(kind, elements))
    };
    let leaf = prop_oneof![
        any::<String>().prop_map(Tree::S),
        number.prop_map(Tree::N),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Tree::B),
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        set(Type::Ss, any::<String>().prop_map(String::into_bytes).boxed()),
        set(Type::Ns, stored.boxed()),
        set(Type::Bs, prop::collection::vec(any::<u8>(), 0..9).boxed()),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::L),
            prop::collection::btree_map(".{1,6}", inner, 0..6).prop_map(Tree::M),
        ]
    })
}

proptest! {
    #[test]
    fn every_value_round_trips_through_json(tree in any_tree()) {
        let stored = tree.to_bytes();
        let mut out = Vec::new();
        render_value(ValueRef::new(&stored), &mut out);
        let json = String::from_utf8(out).expect("JSON is UTF-8");
        prop_assert_eq!(read_value(&json), Some(stored));
    }
}
