//! JSON to nodes by shape, in one pass.
//!
//! Types are checked on the way; the first wrong one is kept until the syntax of the whole document is known to be
//! right. Members that a shape does not know are skipped, null members are absent.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess};
use tradewind_model::{Item, Type, Writer};

use crate::attribute_value::read::{NO_TRUTH, NULL_VALUE, Place, ReadValue, read_entries, truth};
use crate::error::ApiError;
use crate::json::{Expect, Found, Known, Name, Seed, skip_array, skip_object};
use crate::shape::node::{Attributes, Fault, Members, Node, Value};
use crate::shape::{Constraint, Shape, Structure};

/// Up to this many entries, duplicate names are looked for one by one.
const FEW: usize = 16;
/// Of a stored item, to begin with.
const ITEM_BYTES: usize = 512;

/// What was found wrong so far.
#[derive(Default)]
pub(crate) struct Problems {
    /// The first value of a wrong type in the request.
    wrong_type: Option<String>,
    /// The first fault in the attribute value that is being read.
    fault: Option<Fault>,
}

impl Problems {
    pub fn wrong_type(&mut self, text: impl FnOnce() -> String) {
        if self.wrong_type.is_none() {
            self.wrong_type = Some(text());
        }
    }

    pub fn fault(&mut self, fault: impl Into<Fault>) {
        if self.fault.is_none() {
            self.fault = Some(fault.into());
        }
    }

    pub fn is_clean(&self) -> bool {
        self.wrong_type.is_none() && self.fault.is_none()
    }
}

/// The whole body as `structure`. Syntax errors have no message.
pub(crate) fn read_body<'a>(structure: &'static Structure, body: &'a [u8]) -> Result<Members<'a>, ApiError> {
    let mut problems = Problems::default();
    // Checked at once, its strings need not be checked one by one.
    let text = std::str::from_utf8(body).map_err(|_| ApiError::serialization(""))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Seed(ReadStructure { structure, problems: &mut problems });
    let members = read.deserialize(&mut reader).and_then(|members| reader.end().map(|()| members));
    match (members, problems.wrong_type) {
        (Ok(Some(members)), None) => Ok(members),
        (Ok(_), Some(text)) => Err(ApiError::serialization(text)),
        _ => Err(ApiError::serialization("")),
    }
}

/// Whether the body is JSON at all: what is checked before the target is.
pub fn check_syntax(body: &[u8]) -> Result<(), ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    IgnoredAny::deserialize(&mut reader).and_then(|_| reader.end()).map_err(|_| ApiError::serialization(""))
}

/// The framework's complaint about a value where `java` was expected.
pub(crate) fn mismatch_text(java: &str, found: Found) -> String {
    let scalar = matches!(java, "String" | "Boolean" | "Integer" | "Long" | "Date");
    match found {
        Found::Object => "Start of structure or map found where not expected".into(),
        Found::Array if java == "Blob" => "Unrecognized collection type class java.nio.ByteBuffer".into(),
        Found::Array if java == "Map" => {
            "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>"
                .into()
        }
        Found::Array => format!("Unrecognized collection type class java.lang.{java}"),
        _ if java == "Blob" => "only base-64-encoded strings are convertible to bytes".into(),
        Found::Text if scalar => format!("STRING_VALUE cannot be converted to {java}"),
        Found::Bool(true) if scalar => format!("TRUE_VALUE cannot be converted to {java}"),
        Found::Bool(false) if scalar => format!("FALSE_VALUE cannot be converted to {java}"),
        Found::Whole if scalar => format!("NUMBER_VALUE cannot be converted to {java}"),
        Found::Decimal if scalar => format!("DECIMAL_VALUE cannot be converted to {java}"),
        _ => "Unexpected field type".into(),
    }
}

/// The complaint about a list or map inside another where something else stood.
const PARAMETERIZED: &str = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to \
    class java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in \
    module java.base of loader 'bootstrap')";

/// Reads a structure's members; `None` if something else stood there.
struct ReadStructure<'p> {
    structure: &'static Structure,
    problems: &'p mut Problems,
}

impl<'de> Expect<'de> for ReadStructure<'_> {
    type Out = Option<Members<'de>>;

    fn mismatch(self, _: Found) -> Option<Members<'de>> {
        None
    }

    fn null(self) -> Option<Members<'de>> {
        None
    }

    fn object<A: MapAccess<'de>>(self, mut entries: A) -> Result<Option<Members<'de>>, A::Error> {
        let known = self.structure.members;
        let mut present: Vec<(u16, Node<'de>)> = Vec::with_capacity(known.len().min(6));
        let find = |name: &str| known.iter().position(|member| member.name == name);
        while let Some(place) = entries.next_key_seed(Known(find))? {
            let Some(place) = place else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            let read = ReadNode { shape: &known[place].shape, place: Place::Member, problems: self.problems };
            let node = entries.next_value_seed(Seed(read))?;
            // Of members with one name the last counts.
            present.retain(|(earlier, _)| usize::from(*earlier) != place);
            if !matches!(node, Node::Null) {
                present.push((place as u16, node));
            }
        }
        Ok(Some(Members { structure: self.structure, present }))
    }
}

struct ReadNode<'p> {
    shape: &'static Shape,
    place: Place,
    problems: &'p mut Problems,
}

impl<'de> Expect<'de> for ReadNode<'_> {
    type Out = Node<'de>;

    fn mismatch(self, found: Found) -> Node<'de> {
        let (shape, place) = (self.shape, self.place);
        self.problems.wrong_type(|| complaint(shape, place, found));
        Node::Null
    }

    fn null(self) -> Node<'de> {
        if matches!(self.shape, Shape::Value) && self.place == Place::Element {
            return Node::Value(Value::new(Vec::new(), Some(Fault::from(NULL_VALUE))));
        }
        Node::Null
    }

    fn text(self, text: Cow<'de, str>) -> Node<'de> {
        match self.shape {
            Shape::Text(_) => Node::Text(text),
            Shape::Boolean => match truth(&text) {
                Some(value) => Node::Bool(value),
                None => {
                    self.problems.wrong_type(|| NO_TRUTH.into());
                    Node::Null
                }
            },
            _ => self.mismatch(Found::Text),
        }
    }

    fn bool(self, value: bool) -> Node<'de> {
        match self.shape {
            Shape::Boolean => Node::Bool(value),
            _ => self.mismatch(Found::Bool(value)),
        }
    }

    fn whole(self, value: i64) -> Node<'de> {
        match self.shape {
            Shape::Integer(_) => Node::Int(value.clamp(i64::from(i32::MIN), i64::from(i32::MAX))),
            Shape::Long(_) => Node::Int(value),
            Shape::Timestamp => Node::Double(value as f64),
            _ => self.mismatch(Found::Whole),
        }
    }

    fn decimal(self, value: f64) -> Node<'de> {
        match self.shape {
            Shape::Integer(_) | Shape::Long(_) => self.whole(value.floor() as i64),
            Shape::Timestamp => Node::Double(value),
            _ => self.mismatch(if value.fract() == 0.0 { Found::Whole } else { Found::Decimal }),
        }
    }

    fn array<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Node<'de>, A::Error> {
        let Shape::List(shape, _) = self.shape else {
            skip_array(elements)?;
            return Ok(self.mismatch(Found::Array));
        };
        let mut nodes = Vec::new();
        while let Some(node) = elements.next_element_seed(Seed(ReadNode {
            shape,
            place: Place::Element,
            problems: self.problems,
        }))? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn object<A: MapAccess<'de>>(self, entries: A) -> Result<Node<'de>, A::Error> {
        match self.shape {
            Shape::Struct(structure) => {
                let read = ReadStructure { structure, problems: self.problems };
                Ok(read.object(entries)?.map_or(Node::Null, Node::Struct))
            }
            Shape::Map(shape, _) => read_map(shape, self.problems, entries),
            Shape::Attributes => read_attributes(self.problems, entries),
            Shape::Value => self.value(|read| read.object(entries)),
            _ => {
                skip_object(entries)?;
                Ok(self.mismatch(Found::Object))
            }
        }
    }
}

impl ReadNode<'_> {
    fn value<'de, E>(self, read: impl FnOnce(ReadValue<'_>) -> Result<(), E>) -> Result<Node<'de>, E> {
        let mut out = Writer::with_capacity(32);
        let place = self.place;
        // A value stands at the second level of an item, or will: its own limit is the item's.
        read(ReadValue { out: &mut out, problems: self.problems, level: 2, place })?;
        Ok(Node::Value(Value::new(out.finish(), self.problems.fault.take())))
    }
}

fn read_attributes<'de, A: MapAccess<'de>>(
    problems: &mut Problems,
    mut entries: A,
) -> Result<Node<'de>, A::Error> {
    let mut out = Writer::with_capacity(ITEM_BYTES);
    let mark = out.begin(Type::M);
    read_entries(&mut entries, &mut out, problems, 2)?;
    out.end_map(mark);
    let item = Item::from_bytes(out.finish()).unwrap_or_else(Item::empty);
    Ok(Node::Attributes(Attributes::new(item, problems.fault.take())))
}

fn read_map<'de, A: MapAccess<'de>>(
    shape: &'static Shape,
    problems: &mut Problems,
    mut entries: A,
) -> Result<Node<'de>, A::Error> {
    let mut nodes: Vec<(Cow<'de, str>, Node<'de>)> = Vec::new();
    let mut index: HashMap<Cow<'de, str>, usize> = HashMap::new();
    while let Some(name) = entries.next_key_seed(Name)? {
        let node = entries.next_value_seed(Seed(ReadNode { shape, place: Place::Element, problems }))?;
        if index.is_empty() && nodes.len() >= FEW {
            index = nodes.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
        }
        let earlier = match index.is_empty() {
            true => nodes.iter().position(|(earlier, _)| *earlier == name),
            false => index.get(&name).copied(),
        };
        match earlier {
            Some(at) => nodes[at].1 = node,
            None => {
                if !index.is_empty() {
                    index.insert(name.clone(), nodes.len());
                }
                nodes.push((name, node));
            }
        }
    }
    Ok(Node::Map(nodes))
}

fn complaint(shape: &Shape, place: Place, found: Found) -> String {
    let nested = place == Place::Element;
    match shape {
        Shape::Text(_) => mismatch_text("String", found),
        Shape::Boolean => mismatch_text("Boolean", found),
        Shape::Integer(_) => mismatch_text("Integer", found),
        Shape::Long(_) => mismatch_text("Long", found),
        Shape::Timestamp => mismatch_text("Date", found),
        Shape::List(..) if nested && found != Found::Object => PARAMETERIZED.into(),
        Shape::List(..) => mismatch_text("List", found),
        Shape::Map(..) | Shape::Attributes if found == Found::Array => {
            format!("Unrecognized collection type {}", shape.java())
        }
        Shape::Map(..) | Shape::Attributes if nested => PARAMETERIZED.into(),
        Shape::Struct(_) | Shape::Value if found == Found::Array => {
            format!("Unrecognized collection type class {}", shape.java())
        }
        Shape::Struct(_) | Shape::Value if nested => "Unexpected value type in payload".into(),
        _ => "Unexpected field type".into(),
    }
}

/// The constraints of a shape on its own value.
pub(crate) fn constraints(shape: &Shape) -> &'static [Constraint] {
    match shape {
        Shape::Text(constraints)
        | Shape::Integer(constraints)
        | Shape::Long(constraints)
        | Shape::List(_, constraints)
        | Shape::Map(_, constraints) => constraints,
        _ => &[],
    }
}
