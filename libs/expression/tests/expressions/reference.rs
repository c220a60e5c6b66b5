//! The meaning of conditions and updates once more, on trees and in the plainest way: what the properties compare with.

use std::cmp::Ordering;

use tradewind_expression::condition::{Comparator, Condition, Operand};
use tradewind_expression::{Path, Step};
use tradewind_model::number::Number;
use tradewind_model::{Tree, Type, ValueRef};

pub fn holds(condition: &Condition, item: &Tree) -> bool {
    let find = |operand: &Operand| find(operand, item);
    let both = |a: &Operand, b: &Operand| find(a).zip(find(b));
    match condition {
        Condition::All(parts) => parts.iter().all(|part| holds(part, item)),
        Condition::Any(parts) => parts.iter().any(|part| holds(part, item)),
        Condition::Not(inner) => !holds(inner, item),
        Condition::Compare(Comparator::Eq, a, b) => both(a, b).is_some_and(|(a, b)| a == b),
        Condition::Compare(Comparator::Ne, a, b) => both(a, b).is_none_or(|(a, b)| a != b),
        Condition::Compare(comparator, a, b) => {
            both(a, b).and_then(|(a, b)| order(&a, &b)).is_some_and(|order| match comparator {
                Comparator::Lt => order.is_lt(),
                Comparator::Le => order.is_le(),
                Comparator::Gt => order.is_gt(),
                _ => order.is_ge(),
            })
        }
        Condition::Between(value, lower, upper) => {
            let reaches = |a, b| both(a, b).and_then(|(a, b)| order(&a, &b)).is_some_and(Ordering::is_le);
            reaches(lower, value) && reaches(value, upper)
        }
        Condition::In(value, rest) => {
            rest.iter().any(|other| both(value, other).is_some_and(|(a, b)| a == b))
        }
        Condition::Exists(path) => resolve(path, item).is_some(),
        Condition::Missing(path) => resolve(path, item).is_none(),
        Condition::HasType(operand, kind) => find(operand).is_some_and(|value| value.kind() == *kind),
        Condition::BeginsWith(a, b) => both(a, b).is_some_and(|pair| match pair {
            (Tree::S(text), Tree::S(prefix)) => text.starts_with(&prefix),
            (Tree::B(bytes), Tree::B(prefix)) => bytes.starts_with(&prefix),
            _ => false,
        }),
        Condition::Contains(a, b) => both(a, b).is_some_and(|(a, b)| contains(&a, &b)),
    }
}

fn find(operand: &Operand, item: &Tree) -> Option<Tree> {
    match operand {
        Operand::Path(path) => resolve(path, item).cloned(),
        Operand::Value(constant) => Some(Tree::from(ValueRef::new(constant.as_bytes()))),
        Operand::Size(inner) => {
            let length = match find(inner, item)? {
                Tree::S(text) => text.chars().count(),
                Tree::B(bytes) => bytes.len(),
                Tree::Set(_, elements) => elements.len(),
                Tree::L(elements) => elements.len(),
                Tree::M(entries) => entries.len(),
                Tree::N(_) | Tree::Null | Tree::Bool(_) => return None,
            };
            Some(Tree::N(Number::from(length as u64)))
        }
    }
}

pub fn resolve<'a>(path: &Path, item: &'a Tree) -> Option<&'a Tree> {
    let top = Step::Name(path.name.clone());
    std::iter::once(&top).chain(&path.steps).try_fold(item, |tree, step| match (tree, step) {
        (Tree::M(entries), Step::Name(name)) => entries.get(name),
        (Tree::L(elements), Step::Index(index)) => elements.get(*index),
        _ => None,
    })
}

fn order(a: &Tree, b: &Tree) -> Option<Ordering> {
    match (a, b) {
        (Tree::S(a), Tree::S(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Tree::B(a), Tree::B(b)) => Some(a.cmp(b)),
        (Tree::N(a), Tree::N(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn contains(whole: &Tree, part: &Tree) -> bool {
    match (whole, part) {
        (Tree::S(text), Tree::S(part)) => text.contains(part.as_str()),
        (Tree::B(bytes), Tree::B(part)) => {
            part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
        }
        (Tree::L(elements), part) => elements.contains(part),
        (Tree::Set(Type::Ss, elements), Tree::S(element)) => elements.contains(element.as_bytes()),
        (Tree::Set(Type::Bs, elements), Tree::B(element)) => elements.contains(element),
        (Tree::Set(Type::Ns, elements), Tree::N(element)) => {
            let mut stored = Vec::new();
            element.encode(&mut stored);
            elements.contains(&stored)
        }
        _ => false,
    }
}
