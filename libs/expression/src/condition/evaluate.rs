//! What a condition says of an item, read in place.
//!
//! Operands of a type that an operator does not take make it false, and so do missing ones, except that `<>` holds
//! for whatever is not equal, missing attributes included.

use std::borrow::Cow;
use std::cmp::Ordering;

use tradewind_model::number::Number;
use tradewind_model::{ItemRef, ListRef, SetRef, Type, ValueRef, View, Writer};

use crate::condition::{Comparator, Condition, Operand};

/// A stored value; owned where it had to be made.
type Found<'a> = Cow<'a, [u8]>;

impl Condition {
    pub fn holds(&self, item: Option<ItemRef<'_>>) -> bool {
        match self {
            Condition::All(parts) => parts.iter().all(|part| part.holds(item)),
            Condition::Any(parts) => parts.iter().any(|part| part.holds(item)),
            Condition::Not(inner) => !inner.holds(item),
            Condition::Compare(comparator, a, b) => compare(*comparator, a.find(item), b.find(item)),
            Condition::Between(value, lower, upper) => {
                let value = value.find(item);
                in_order(lower.find(item), value.clone()) && in_order(value, upper.find(item))
            }
            Condition::In(first, rest) => first.find(item).is_some_and(|value| {
                rest.iter().any(|operand| operand.find(item).is_some_and(|other| other == value))
            }),
            Condition::Exists(path) => item.and_then(|item| path.resolve(item)).is_some(),
            Condition::Missing(path) => item.and_then(|item| path.resolve(item)).is_none(),
            Condition::HasType(operand, kind) => {
                operand.find(item).is_some_and(|value| ValueRef::new(&value).kind() == *kind)
            }
            Condition::BeginsWith(a, b) => both(a.find(item), b.find(item), begins_with),
            Condition::Contains(a, b) => both(a.find(item), b.find(item), contains),
        }
    }
}

impl Operand {
    fn find<'a>(&'a self, item: Option<ItemRef<'a>>) -> Option<Found<'a>> {
        match self {
            Operand::Path(path) => Some(Cow::Borrowed(path.resolve(item?)?.as_bytes())),
            Operand::Value(constant) => Some(Cow::Borrowed(constant.as_bytes())),
            Operand::Size(inner) => {
                let length = length(ValueRef::new(&inner.find(item)?))?;
                let mut number = Writer::with_capacity(16);
                number.number(Number::from(length as u64));
                Some(Cow::Owned(number.finish()))
            }
        }
    }
}

/// The developer guide calls it the length of a string, and the number of bytes only for binary values. DynamoDB Local
/// and dynalite both count UTF-16 units, as Java does.
fn length(value: ValueRef<'_>) -> Option<usize> {
    match value.view() {
        View::S(text) => Some(text.encode_utf16().count()),
        View::B(bytes) => Some(bytes.len()),
        View::Ss(set) | View::Ns(set) | View::Bs(set) => Some(set.len()),
        View::L(list) => Some(list.len()),
        View::M(map) => Some(map.len()),
        View::N(_) | View::Null | View::Bool(_) => None,
    }
}

fn both(a: Option<Found<'_>>, b: Option<Found<'_>>, test: fn(ValueRef<'_>, ValueRef<'_>) -> bool) -> bool {
    a.zip(b).is_some_and(|(a, b)| test(ValueRef::new(&a), ValueRef::new(&b)))
}

fn compare(comparator: Comparator, a: Option<Found<'_>>, b: Option<Found<'_>>) -> bool {
    let equal = || a.as_ref().zip(b.as_ref()).is_some_and(|(a, b)| a == b);
    let order = || order(ValueRef::new(a.as_ref()?), ValueRef::new(b.as_ref()?));
    match comparator {
        Comparator::Eq => equal(),
        Comparator::Ne => !equal(),
        Comparator::Lt => order().is_some_and(Ordering::is_lt),
        Comparator::Le => order().is_some_and(Ordering::is_le),
        Comparator::Gt => order().is_some_and(Ordering::is_gt),
        Comparator::Ge => order().is_some_and(Ordering::is_ge),
    }
}

/// Of two strings, numbers or binary values; nothing else has an order.
pub(super) fn order(a: ValueRef<'_>, b: ValueRef<'_>) -> Option<Ordering> {
    (a.kind() == b.kind()).then(|| Some(a.key_bytes()?.cmp(b.key_bytes()?)))?
}

fn in_order(lower: Option<Found<'_>>, upper: Option<Found<'_>>) -> bool {
    compare(Comparator::Le, lower, upper)
}

fn begins_with(value: ValueRef<'_>, prefix: ValueRef<'_>) -> bool {
    match (value.view(), prefix.view()) {
        (View::S(value), View::S(prefix)) => value.starts_with(prefix),
        (View::B(value), View::B(prefix)) => value.starts_with(prefix),
        _ => false,
    }
}

fn contains(value: ValueRef<'_>, part: ValueRef<'_>) -> bool {
    match value.view() {
        View::S(text) => part.as_str().is_some_and(|part| text.contains(part)),
        View::B(bytes) => matches!(part.view(), View::B(part) if contains_run(bytes, part)),
        View::Ss(set) => has_element(set, part, Type::S),
        View::Ns(set) => has_element(set, part, Type::N),
        View::Bs(set) => has_element(set, part, Type::B),
        View::L(list) => has_value(list, part),
        _ => false,
    }
}

fn has_element(set: SetRef<'_>, element: ValueRef<'_>, kind: Type) -> bool {
    element.kind() == kind && element.key_bytes().is_some_and(|bytes| set.contains(bytes))
}

fn has_value(list: ListRef<'_>, value: ValueRef<'_>) -> bool {
    list.iter().any(|found| found == value)
}

/// Knuth, Morris and Pratt's search: in linear time, since both sides may be hundreds of kilobytes that somebody chose
/// to make it slow.
fn contains_run(bytes: &[u8], run: &[u8]) -> bool {
    let mut matched = 0;
    let borders = borders(run);
    run.is_empty()
        || bytes.iter().any(|byte| {
            while matched > 0 && run[matched] != *byte {
                matched = borders[matched - 1];
            }
            matched += usize::from(run[matched] == *byte);
            matched == run.len()
        })
}

/// For each prefix of `run`: the length of its longest proper prefix that is also its suffix.
fn borders(run: &[u8]) -> Vec<usize> {
    let mut borders = vec![0; run.len()];
    let mut length = 0;
    for at in 1..run.len() {
        while length > 0 && run[length] != run[at] {
            length = borders[length - 1];
        }
        length += usize::from(run[length] == run[at]);
        borders[at] = length;
    }
    borders
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_are_found_where_they_are(
            bytes in proptest::collection::vec(0u8..3, 0..40),
            run in proptest::collection::vec(0u8..3, 0..6),
        ) {
            let expected = run.is_empty() || bytes.windows(run.len()).any(|window| window == run);
            prop_assert_eq!(contains_run(&bytes, &run), expected);
        }
    }
}
