//! Whatever the text, parsing ends; whatever is valid, means the same in the stored form as on trees.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tradewind_expression::{Condition, KeyCondition, Kind, Path, Placeholders, Projection, Step, Update};
use tradewind_model::number::Number;
use tradewind_model::{Item, Tree, Type, ValueRef};

use crate::{reference, sample};

/// Words of the language and of no language.
const PIECES: [&str; 46] = [
    "a",
    "b",
    "#a",
    "#undefined",
    ":x",
    ":one",
    ":list",
    ":undefined",
    "(",
    ")",
    "((",
    "))",
    "[",
    "]",
    "[0]",
    "[9]",
    ".",
    ",",
    "=",
    "<>",
    "<",
    ">=",
    "+",
    "-",
    " ",
    "and",
    "or",
    "not",
    "in",
    "between",
    "set",
    "remove",
    "add",
    "delete",
    "size(",
    "attribute_exists(",
    "contains(",
    "if_not_exists(",
    "list_append(",
    "foo(",
    "99999999999",
    "SIZE",
    "\u{0}",
    "é",
    "_",
    "not ",
];

fn parse_all(text: &str) {
    let placeholders = &mut sample::placeholders();
    let item = sample::item(serde_json::json!({"a": {"b": [1, "x"]}, "b": 1}));
    if let Ok(condition) = Condition::parse(Kind::Condition, text, placeholders) {
        condition.holds(Some(item.as_ref()));
        condition.holds(None);
    }
    if let Ok(update) = Update::parse(text, placeholders) {
        let _ = update.apply(Item::empty().as_ref(), Some(item.as_ref()));
        let _ = update.apply(Item::empty().as_ref(), None);
        update.touched(item.as_ref());
    }
    if let Ok(projection) = Projection::parse(text, placeholders) {
        projection.project(item.as_ref());
    }
    let _ = KeyCondition::parse(text, placeholders);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,80}") {
        parse_all(&text);
    }

    #[test]
    fn any_tokens_are_answered(pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..40)) {
        parse_all(&pieces.concat());
        parse_all(&pieces.join(" "));
    }

    #[test]
    fn any_repetition_is_answered(
        head in proptest::sample::select(&PIECES[..]),
        pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 1..4),
    ) {
        let piece = pieces.join(" ");
        parse_all(&format!("{head} {}", piece.repeat(4090 / piece.len().max(1))));
    }

    #[test]
    fn conditions_mean_the_same_in_place_as_on_trees(text in condition_text(), item in any_item()) {
        if let Ok(condition) = Condition::parse(Kind::Condition, &text, &mut sample::placeholders()) {
            let expected = reference::holds(&condition, &Tree::M(item.clone()));
            prop_assert_eq!(condition.holds(Some(Item::from(&item).as_ref())), expected, "{}", text);
        }
    }

    #[test]
    fn set_then_read_gives_what_was_set(path in any_path(), item in any_item(), value in any_value()) {
        let update = Update {
            actions: vec![tradewind_expression::update::Action::Set(
                path.clone(),
                tradewind_expression::update::Value::Of(tradewind_expression::update::Operand::Value(
                    value.to_bytes().into(),
                )),
            )],
            legacy: false,
        };
        let before = Item::from(&item);
        let Ok(Some(after)) = update.apply(Item::empty().as_ref(), Some(before.as_ref())) else { return Ok(()) };
        let read = path.resolve(after.as_ref()).map(|value| value.as_bytes().to_vec());
        let appended = matches!(path.steps.last(), Some(Step::Index(_)));
        prop_assert!(read == Some(value.to_bytes()) || appended);
        for (name, value) in &item {
            if *name != path.name {
                prop_assert_eq!(after.get(name).map(Tree::from), Some(value.clone()));
            }
        }
    }

    #[test]
    fn removing_takes_exactly_the_path(path in any_path(), item in any_item()) {
        let update = Update {
            actions: vec![tradewind_expression::update::Action::Remove(path.clone())],
            legacy: false,
        };
        let before = Item::from(&item);
        match update.apply(Item::empty().as_ref(), Some(before.as_ref())) {
            Ok(after) => prop_assert_eq!(after, Some(Item::from(&removed(item, &path)))),
            Err(_) => prop_assert!(path.resolve(before.as_ref()).is_none() && !path.steps.is_empty()),
        }
    }

    #[test]
    fn projected_paths_resolve_as_in_the_item(path in any_path(), item in any_item()) {
        let mut names = Vec::new();
        let text = text_of(&path, &mut names);
        let projection = Projection::parse(&text, &mut Placeholders::new(names, Vec::new())).unwrap();
        let whole = Item::from(&item);
        let part = projection.project(whole.as_ref());
        // In the projection each list on the way has one element.
        let steps = path.steps.iter().map(|step| match step {
            Step::Index(_) => Step::Index(0),
            name => name.clone(),
        });
        let compacted = Path { name: path.name.clone(), steps: steps.collect() };
        prop_assert_eq!(
            compacted.resolve(part.as_ref()).map(|value| value.as_bytes().to_vec()),
            path.resolve(whole.as_ref()).map(|value| value.as_bytes().to_vec())
        );
    }
}

fn removed(item: BTreeMap<String, Tree>, path: &Path) -> BTreeMap<String, Tree> {
    let mut tree = Tree::M(item);
    let mut steps = vec![Step::Name(path.name.clone())];
    steps.extend(path.steps.iter().cloned());
    let (last, way) = steps.split_last().unwrap();
    let parent = way.iter().try_fold(&mut tree, |tree, step| match (tree, step) {
        (Tree::M(entries), Step::Name(name)) => entries.get_mut(name),
        (Tree::L(elements), Step::Index(index)) => elements.get_mut(*index),
        _ => None,
    });
    match (parent, last) {
        (Some(Tree::M(entries)), Step::Name(name)) => drop(entries.remove(name)),
        (Some(Tree::L(elements)), Step::Index(index)) if *index < elements.len() => {
            drop(elements.remove(*index))
        }
        _ => (),
    }
    if let Tree::M(item) = tree { item } else { unreachable!() }
}

fn text_of(path: &Path, names: &mut Vec<(String, String)>) -> String {
    let mut name = |name: &str| {
        let key = format!("#n{}", names.len());
        names.push((key.clone(), name.to_owned()));
        key
    };
    let mut text = name(&path.name);
    for step in &path.steps {
        match step {
            Step::Name(step) => text.push_str(&format!(".{}", name(step))),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// Few names, so that paths often lead somewhere.
fn any_name() -> impl Strategy<Value = String> {
    proptest::sample::select(&["a", "b", "c"][..]).prop_map(str::to_owned)
}

fn any_path() -> impl Strategy<Value = Path> {
    let step = prop_oneof![any_name().prop_map(Step::Name), (0usize..3).prop_map(Step::Index)];
    (any_name(), proptest::collection::vec(step, 0..3)).prop_map(|(name, steps)| Path { name, steps })
}

fn any_item() -> impl Strategy<Value = BTreeMap<String, Tree>> {
    proptest::collection::btree_map(any_name(), any_value(), 0..4)
}

/// Small values, so that they are often equal, contained in each other or in order.
fn any_value() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        "[axy]{0,2}".prop_map(Tree::S),
        (0u64..4).prop_map(|number| Tree::N(Number::from(number))),
        proptest::collection::vec(97u8..99, 0..3).prop_map(Tree::B),
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        proptest::collection::btree_set("[abc]".prop_map(String::into_bytes), 1..3)
            .prop_map(|elements| Tree::Set(Type::Ss, elements)),
        proptest::collection::btree_set((0u64..3).prop_map(stored_number), 1..3)
            .prop_map(|elements| Tree::Set(Type::Ns, elements)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Tree::L),
            proptest::collection::btree_map(any_name(), inner, 0..3).prop_map(Tree::M),
        ]
    })
}

fn stored_number(number: u64) -> Vec<u8> {
    let mut stored = Vec::new();
    Number::from(number).encode(&mut stored);
    stored
}

fn operand_text() -> impl Strategy<Value = String> {
    let path = any_path().prop_map(|path| {
        path.steps.iter().fold(path.name.clone(), |text, step| match step {
            Step::Name(name) => format!("{text}.{name}"),
            Step::Index(index) => format!("{text}[{index}]"),
        })
    });
    let values = [
        ":x", ":y", ":xy", ":one", ":two", ":bin", ":list", ":map", ":ss", ":ns", ":null", ":true", ":empty",
    ];
    let plain =
        prop_oneof![3 => path, 2 => proptest::sample::select(values.to_vec()).prop_map(str::to_owned)]
            .boxed();
    prop_oneof![4 => plain.clone(), 1 => plain.prop_map(|inner| format!("size({inner})"))]
}

fn condition_text() -> impl Strategy<Value = String> {
    let comparator = proptest::sample::select(&["=", "<>", "<", "<=", ">", ">="][..]);
    let operand = || operand_text();
    let leaf = prop_oneof![
        3 => (operand(), comparator, operand()).prop_map(|(a, operator, b)| format!("{a} {operator} {b}")),
        1 => (operand(), operand(), operand()).prop_map(|(a, b, c)| format!("{a} between {b} and {c}")),
        1 => (operand(), operand(), operand()).prop_map(|(a, b, c)| format!("{a} in ({b}, {c})")),
        1 => operand().prop_map(|a| format!("attribute_exists({a})")),
        1 => operand().prop_map(|a| format!("attribute_not_exists({a})")),
        1 => (operand(), proptest::sample::select(&[":S", ":L", ":SS"][..]))
            .prop_map(|(a, kind)| format!("attribute_type({a}, {kind})")),
        1 => (operand(), operand()).prop_map(|(a, b)| format!("begins_with({a}, {b})")),
        2 => (operand(), operand()).prop_map(|(a, b)| format!("contains({a}, {b})")),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.clone().prop_map(|a| format!("not {a}")),
        ]
    })
}

#[test]
fn stored_values_are_what_the_samples_say() {
    let json = serde_json::json!({"$ns": [1, 2]});
    let stored = sample::stored(&json);
    assert_eq!(Tree::from(ValueRef::new(&stored)), sample::tree(&json));
}
