//! Attribute values as a tree: what updates work on. Everything else reads the stored form in place.

use std::collections::{BTreeMap, BTreeSet};

use crate::number::Number;
use crate::value::{Item, Type, ValueRef, View, Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    S(String),
    N(Number),
    B(Vec<u8>),
    Null,
    Bool(bool),
    /// SS, NS or BS by their elements: UTF-8, stored numbers, or bytes.
    Set(Type, BTreeSet<Vec<u8>>),
    L(Vec<Tree>),
    M(BTreeMap<String, Tree>),
}

impl Tree {
    pub fn kind(&self) -> Type {
        match self {
            Tree::S(_) => Type::S,
            Tree::N(_) => Type::N,
            Tree::B(_) => Type::B,
            Tree::Null => Type::Null,
            Tree::Bool(_) => Type::Bool,
            Tree::Set(kind, _) => *kind,
            Tree::L(_) => Type::L,
            Tree::M(_) => Type::M,
        }
    }

    pub fn write(&self, out: &mut Writer) {
        match self {
            Tree::S(text) => out.string(text),
            Tree::N(number) => out.number(*number),
            Tree::B(bytes) => out.binary(bytes),
            Tree::Null => out.null(),
            Tree::Bool(value) => out.bool(*value),
            Tree::Set(kind, elements) => {
                let mark = out.begin(*kind);
                elements.iter().for_each(|element| out.element(element));
                out.end_set(mark);
            }
            Tree::L(values) => {
                let mark = out.begin(Type::L);
                values.iter().for_each(|value| value.write(out));
                out.end_list(mark, values.len());
            }
            Tree::M(entries) => {
                let mark = out.begin(Type::M);
                for (name, value) in entries {
                    out.name(name);
                    value.write(out);
                }
                out.end_map(mark);
            }
        }
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.write(&mut out);
        out.finish()
    }
}

impl From<ValueRef<'_>> for Tree {
    fn from(value: ValueRef<'_>) -> Tree {
        match value.view() {
            View::S(text) => Tree::S(text.to_owned()),
            View::N(stored) => Tree::N(Number::decode(stored).unwrap_or(Number::ZERO)),
            View::B(bytes) => Tree::B(bytes.to_vec()),
            View::Null => Tree::Null,
            View::Bool(value) => Tree::Bool(value),
            View::Ss(set) | View::Ns(set) | View::Bs(set) => {
                Tree::Set(value.kind(), set.iter().map(<[u8]>::to_vec).collect())
            }
            View::L(list) => Tree::L(list.iter().map(Tree::from).collect()),
            View::M(map) => {
                Tree::M(map.iter().map(|(name, value)| (name.to_owned(), Tree::from(value))).collect())
            }
        }
    }
}

impl From<&BTreeMap<String, Tree>> for Item {
    fn from(attributes: &BTreeMap<String, Tree>) -> Item {
        Item::build(|out| {
            for (name, value) in attributes {
                out.name(name);
                value.write(out);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn any_tree() -> impl Strategy<Value = Tree> {
        let number = (any::<bool>(), 0u128..10u128.pow(38), -130i32..88)
            .prop_filter_map("in range", |(negative, c, e)| Number::from_parts(negative, c, e).ok());
        let leaf = prop_oneof![
            ".{0,12}".prop_map(Tree::S),
            number.prop_map(Tree::N),
            proptest::collection::vec(any::<u8>(), 0..200).prop_map(Tree::B),
            Just(Tree::Null),
            any::<bool>().prop_map(Tree::Bool),
            proptest::collection::btree_set(".{0,5}".prop_map(String::into_bytes), 1..5)
                .prop_map(|elements| Tree::Set(Type::Ss, elements)),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Tree::L),
                proptest::collection::btree_map(".{0,6}", inner, 0..6).prop_map(Tree::M),
            ]
        })
    }

    proptest! {
        #[test]
        fn trees_round_trip(tree in any_tree()) {
            let bytes = tree.to_bytes();
            prop_assert_eq!(Tree::from(ValueRef::new(&bytes)), tree);
        }

        #[test]
        fn equal_bytes_are_equal_values(a in any_tree(), b in any_tree()) {
            prop_assert_eq!(a.to_bytes() == b.to_bytes(), a == b);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let value = ValueRef::new(&bytes);
            let _ = (format!("{value:?}"), value.size(), value.depth(), Tree::from(value));
            let _ = Item::from_bytes(bytes);
        }
    }

    #[test]
    fn maps_and_sets_are_put_in_order() {
        let written = |names: &[(&str, bool)]| {
            Item::build(|out| {
                for (name, value) in names {
                    out.name(name);
                    out.bool(*value);
                }
            })
        };
        assert_eq!(written(&[("b", true), ("a", false)]), written(&[("a", false), ("b", true)]));
        assert_eq!(written(&[("a", true), ("b", true), ("a", false)]), written(&[("a", false), ("b", true)]));
        let mut out = Writer::default();
        let mark = out.begin(Type::Ss);
        ["b", "a", "b"].iter().for_each(|element| out.element(element.as_bytes()));
        assert!(!out.end_set(mark), "duplicates are reported");
    }

    #[test]
    fn sizes_are_dynamodbs() {
        let item = Item::build(|out| {
            out.name("pk");
            out.string("abc");
            out.name("n");
            out.number(Number::from(12u64));
            out.name("l");
            let list = out.begin(Type::L);
            out.null();
            out.end_list(list, 1);
        });
        assert_eq!(item.size(), (2 + 3) + (1 + 2) + (1 + 3 + 1 + 1));
    }
}
