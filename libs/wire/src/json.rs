//! Reading JSON by expectation: what to do with each kind of value where one kind is expected.
//!
//! Values of another kind are no errors of the reader: they are noted, skipped at no depth of its own, and reading goes
//! on, since a syntax error further on takes precedence.

pub(crate) mod write;

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What stood in the place of something else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    Text,
    Bool(bool),
    Whole,
    Decimal,
    Array,
    Object,
}

/// Each method takes one kind of JSON value; the kinds that are not overridden are mismatches.
pub(crate) trait Expect<'de>: Sized {
    type Out;

    fn mismatch(self, found: Found) -> Self::Out;

    fn null(self) -> Self::Out;

    fn text(self, _text: Cow<'de, str>) -> Self::Out {
        self.mismatch(Found::Text)
    }

    fn bool(self, value: bool) -> Self::Out {
        self.mismatch(Found::Bool(value))
    }

    fn whole(self, _value: i64) -> Self::Out {
        self.mismatch(Found::Whole)
    }

    fn decimal(self, value: f64) -> Self::Out {
        self.mismatch(if value.fract() == 0.0 { Found::Whole } else { Found::Decimal })
    }

    fn array<A: SeqAccess<'de>>(self, elements: A) -> Result<Self::Out, A::Error> {
        skip_array(elements)?;
        Ok(self.mismatch(Found::Array))
    }

    fn object<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Out, A::Error> {
        skip_object(entries)?;
        Ok(self.mismatch(Found::Object))
    }
}

pub(crate) fn skip_array<'de, A: SeqAccess<'de>>(mut elements: A) -> Result<(), A::Error> {
    while elements.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

pub(crate) fn skip_object<'de, A: MapAccess<'de>>(mut entries: A) -> Result<(), A::Error> {
    while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// An expectation as serde wants it.
pub(crate) struct Seed<T>(pub T);

impl<'de, T: Expect<'de>> DeserializeSeed<'de> for Seed<T> {
    type Value = T::Out;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Out, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Expect<'de>> Visitor<'de> for Seed<T> {
    type Value = T::Out;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T::Out, E> {
        Ok(self.0.bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T::Out, E> {
        Ok(self.0.whole(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T::Out, E> {
        Ok(self.0.whole(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T::Out, E> {
        Ok(self.0.decimal(value))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<T::Out, E> {
        Ok(self.0.text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T::Out, E> {
        Ok(self.0.text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<T::Out, E> {
        Ok(self.0.null())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<T::Out, A::Error> {
        self.0.array(elements)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<T::Out, A::Error> {
        self.0.object(entries)
    }
}

/// A member's name, borrowed from the document where it has no escapes.
pub(crate) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

/// A member's name by what it stands for, or `None`; nothing is copied.
pub(crate) struct Known<F>(pub F);

impl<'de, R, F: Fn(&str) -> Option<R>> DeserializeSeed<'de> for Known<F> {
    type Value = Option<R>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<R>, D::Error> {
        deserializer.deserialize_str(KnownVisitor(self.0))
    }
}

struct KnownVisitor<F>(F);

impl<R, F: Fn(&str) -> Option<R>> Visitor<'_> for KnownVisitor<F> {
    type Value = Option<R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<R>, E> {
        Ok((self.0)(text))
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
