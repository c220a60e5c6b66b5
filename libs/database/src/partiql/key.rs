//! What a WHERE says of keys: the tests that every item it lets through passes, by attribute.

use tradewind_expression::condition::{Comparator, Operand};
use tradewind_expression::{Condition, KeyTest, Path};
use tradewind_model::{Item, KeyAttribute, ValueRef};
use tradewind_wire::ApiError;

use crate::table::document::TableDocument;

/// A test of one top-level attribute that a WHERE requires.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Test {
    Key(KeyTest),
    /// Equality with one of several stored values.
    OneOf(Vec<Vec<u8>>),
}

/// The tests that `condition` joins by AND, by attribute, in the order of the text; what has another form is left out.
pub(super) fn tests(condition: &Condition) -> Vec<(&str, Test)> {
    match condition {
        Condition::All(parts) => parts.iter().flat_map(tests).collect(),
        other => test(other).into_iter().collect(),
    }
}

fn test(condition: &Condition) -> Option<(&str, Test)> {
    match condition {
        Condition::Compare(comparator, a, b) => {
            let (name, value, comparator) = match (attribute(a), stored(b)) {
                (Some(name), Some(value)) => (name, value, *comparator),
                _ => (attribute(b)?, stored(a)?, comparator.mirrored()),
            };
            let test = match comparator {
                Comparator::Eq => KeyTest::Eq(value),
                Comparator::Lt => KeyTest::Lt(value),
                Comparator::Le => KeyTest::Le(value),
                Comparator::Gt => KeyTest::Gt(value),
                Comparator::Ge => KeyTest::Ge(value),
                Comparator::Ne => return None,
            };
            Some((name, Test::Key(test)))
        }
        Condition::Between(value, lower, upper) => {
            Some((attribute(value)?, Test::Key(KeyTest::Between(stored(lower)?, stored(upper)?))))
        }
        Condition::BeginsWith(value, prefix) => {
            Some((attribute(value)?, Test::Key(KeyTest::BeginsWith(stored(prefix)?))))
        }
        Condition::In(value, candidates) => {
            let candidates: Option<Vec<_>> = candidates.iter().map(stored).collect();
            Some((attribute(value)?, Test::OneOf(candidates?)))
        }
        Condition::Any(parts) => alternatives(parts),
        _ => None,
    }
}

/// `a = 1 OR a = 2`, which is `a IN [1, 2]`.
fn alternatives(parts: &[Condition]) -> Option<(&str, Test)> {
    let mut values = Vec::new();
    let mut names = Vec::new();
    for part in parts {
        let (name, test) = test(part)?;
        names.push(name);
        match test {
            Test::Key(KeyTest::Eq(value)) => values.push(value),
            Test::OneOf(more) => values.extend(more),
            Test::Key(_) => return None,
        }
    }
    let first = *names.first()?;
    names.iter().all(|name| *name == first).then_some((first, Test::OneOf(values)))
}

fn attribute(operand: &Operand) -> Option<&str> {
    match operand {
        Operand::Path(path) if path.steps.is_empty() => Some(&path.name),
        _ => None,
    }
}

fn stored(operand: &Operand) -> Option<Vec<u8>> {
    if let Operand::Value(constant) = operand { Some(constant.as_bytes().to_vec()) } else { None }
}

/// The one item that a WHERE is about.
pub(super) struct OneItem {
    pub key: Item,
    /// Whether it says more than the key.
    pub has_more: bool,
}

/// The item whose whole key a WHERE pins by equality; `None`: it does not.
pub(super) fn one_item(
    table: &TableDocument,
    condition: Option<&Condition>,
) -> Result<Option<OneItem>, ApiError> {
    let tests = condition.map(tests).unwrap_or_default();
    let mut key = Vec::new();
    for attribute in table.keys.attributes() {
        let mut values = equalities(&tests, &attribute.name);
        let Some(first) = values.next() else { return Ok(None) };
        if values.any(|other| other != first) {
            let name = &attribute.name;
            return Err(ApiError::validation(format!(
                "Multiple conditions on same key {name}. Only single item Update/Insert/Delete are supported"
            )));
        }
        check_type(attribute, first)?;
        key.push((attribute.name.as_str(), first));
    }
    let is_key =
        |(name, test): &(&str, Test)| table.keys.contains(name) && matches!(test, Test::Key(KeyTest::Eq(_)));
    let has_more = condition.map_or(0, parts) > tests.iter().filter(|test| is_key(test)).count();
    let key = Item::build(|out| {
        for (name, value) in &key {
            out.name(name);
            out.value(ValueRef::new(value));
        }
    });
    Ok(Some(OneItem { key, has_more }))
}

fn equalities<'a>(tests: &'a [(&str, Test)], name: &str) -> impl Iterator<Item = &'a [u8]> {
    tests.iter().filter(move |(tested, _)| *tested == name).filter_map(|(_, test)| match test {
        Test::Key(KeyTest::Eq(value)) => Some(value.as_slice()),
        _ => None,
    })
}

/// How many conditions are joined by AND.
fn parts(condition: &Condition) -> usize {
    if let Condition::All(inner) = condition { inner.iter().map(parts).sum() } else { 1 }
}

pub(super) fn check_type(attribute: &KeyAttribute, stored: &[u8]) -> Result<(), ApiError> {
    match ValueRef::new(stored).kind() == attribute.kind {
        true => Ok(()),
        false => Err(wrong_type(&attribute.name)),
    }
}

pub(super) fn wrong_type(name: &str) -> ApiError {
    ApiError::validation(format!(
        "Key attribute's data type should match its data type in table's schema: Key {name}"
    ))
}

/// That the item is there.
pub(super) fn present(table: &TableDocument) -> Condition {
    Condition::Exists(Path::top(&table.keys.hash.name))
}

/// That it is not.
pub(super) fn absent(table: &TableDocument) -> Condition {
    Condition::Missing(Path::top(&table.keys.hash.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tradewind_expression::partiql::{Statement, parse};
    use tradewind_model::{KeySchema, Type, Writer};

    fn condition(text: &str) -> Option<Condition> {
        match parse(&format!("SELECT * FROM t WHERE {text}"), Vec::new()) {
            Ok(Statement::Select(select)) => select.condition,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn text(value: &str) -> Vec<u8> {
        let mut out = Writer::default();
        out.string(value);
        out.finish()
    }

    fn found(condition_text: &str) -> Vec<(String, Test)> {
        let condition = condition(condition_text).unwrap();
        tests(&condition).into_iter().map(|(name, test)| (name.to_owned(), test)).collect()
    }

    /// Keys `p` and `c`, both strings.
    fn table() -> TableDocument {
        let attribute = |name: &str| KeyAttribute { name: name.to_owned(), kind: Type::S };
        let keys = KeySchema { hash: attribute("p"), range: Some(attribute("c")) };
        let mut document = empty_table();
        document.keys = keys;
        document
    }

    fn empty_table() -> TableDocument {
        serde_json::from_value(serde_json::json!({
            "name": "t", "incarnation": "00000000-0000-0000-0000-000000000000", "created_ms": 0, "status": "ACTIVE",
            "attributes": [], "keys": {"hash": {"name": "p", "kind": "S"}, "range": null}, "capacity": {},
            "indexes": [], "streams": [], "ttl": null, "replicas": {}, "partitions": [],
        }))
        .unwrap()
    }

    #[test]
    fn only_what_every_item_must_pass_is_a_test() {
        let equal = |name: &str, value: &str| (name.to_owned(), Test::Key(KeyTest::Eq(text(value))));
        assert_eq!(found("p = 'a' AND ('b' = c AND m.x = 'c')"), [equal("p", "a"), equal("c", "b")]);
        assert_eq!(found("p = 'a' OR c = 'b'"), []);
        assert_eq!(found("NOT p = 'a' AND p <> 'b' AND p = c AND size(p) = 1"), []);
        let one_of = Test::OneOf(vec![text("a"), text("b"), text("c")]);
        assert_eq!(found("p = 'a' OR p IN ['b', 'c']"), [("p".to_owned(), one_of)]);
        assert_eq!(found("p = 'a' OR p > 'b'"), []);
        assert_eq!(found("'b' > c"), [("c".to_owned(), Test::Key(KeyTest::Lt(text("b"))))]);
    }

    #[test]
    fn one_item_has_its_whole_key_pinned() {
        let one = |text: &str| one_item(&table(), condition(text).as_ref());
        let found = one("c = 'b' AND p = 'a'").unwrap().unwrap();
        assert_eq!(found.key.get("p").unwrap().as_bytes(), text("a"));
        assert!(!found.has_more);
        assert!(!one("p = 'a' AND c = 'b' AND p = 'a'").unwrap().unwrap().has_more);
        for more in ["n = 1", "c < 'd'", "NOT n = 1", "(n = 1 OR n = 2)"] {
            assert!(one(&format!("p = 'a' AND c = 'b' AND {more}")).unwrap().unwrap().has_more, "{more}");
        }
        for less in ["p = 'a'", "p = 'a' AND c > 'b'", "p = 'a' OR c = 'b'", "p = 'a' AND c IN ['b']"] {
            assert!(one(less).unwrap().is_none(), "{less}");
        }
        assert!(one_item(&table(), None).unwrap().is_none());
    }

    #[test]
    fn keys_that_cannot_be_are_refused() {
        let message = |text: &str| match one_item(&table(), condition(text).as_ref()) {
            Err(error) => error.message,
            Ok(one) => panic!("{text}: {}", one.is_some()),
        };
        assert!(message("p = 'a' AND c = 'b' AND p = 'c'").starts_with("Multiple conditions on same key p."));
        assert_eq!(
            message("p = 'a' AND c = 1"),
            "Key attribute's data type should match its data type in table's schema: Key c"
        );
    }
}
