//! A request read by its shape: only members that are present, only values of the right type.

use std::borrow::Cow;

use tradewind_model::{Item, ItemRef};
use xxhash_rust::xxh3::Xxh3;

use crate::error::ApiError;
use crate::shape::Structure;

#[derive(Debug)]
pub(crate) enum Node<'a> {
    /// Only as an element of a list or map: null members of structures are absent.
    Null,
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Double(f64),
    List(Vec<Node<'a>>),
    /// In the order they came, no two of one name.
    Map(Vec<(Cow<'a, str>, Node<'a>)>),
    Struct(Members<'a>),
    Value(Value),
    Attributes(Attributes),
}

/// One attribute value in its stored form; of no use while it has a fault.
#[derive(Debug)]
pub(crate) struct Value {
    stored: Vec<u8>,
    fault: Option<Fault>,
}

/// A map of attribute values as a stored item; of no use while it has a fault.
#[derive(Debug)]
pub(crate) struct Attributes {
    item: Item,
    fault: Option<Fault>,
}

/// What is wrong with a value: a ValidationException that waits until types and constraints were checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault(pub Cow<'static, str>);

pub(crate) const NESTING: &str = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit";

impl Fault {
    pub fn is_nesting(&self) -> bool {
        self.0 == NESTING
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> ApiError {
        ApiError::validation(fault.0)
    }
}

impl Value {
    pub fn new(stored: Vec<u8>, fault: Option<Fault>) -> Value {
        Value { stored, fault }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.stored
    }

    pub fn stored(self) -> Result<Vec<u8>, Fault> {
        self.fault.map_or(Ok(self.stored), Err)
    }
}

impl Attributes {
    pub fn new(item: Item, fault: Option<Fault>) -> Attributes {
        Attributes { item, fault }
    }

    pub fn item(self) -> Result<Item, Fault> {
        self.fault.map_or(Ok(self.item), Err)
    }

    pub fn as_ref(&self) -> ItemRef<'_> {
        self.item.as_ref()
    }
}

/// The members of a structure that are present.
#[derive(Debug)]
pub(crate) struct Members<'a> {
    pub structure: &'static Structure,
    /// By their place in the structure's list.
    pub present: Vec<(u16, Node<'a>)>,
}

impl<'a> Members<'a> {
    pub fn at(&self, place: usize) -> Option<&Node<'a>> {
        self.present.iter().find(|(found, _)| usize::from(*found) == place).map(|(_, node)| node)
    }

    fn position(&self, name: &str) -> Option<usize> {
        let members = self.structure.members;
        self.present.iter().position(|(place, _)| members[usize::from(*place)].name == name)
    }

    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.position(name).map(|at| &self.present[at].1)
    }

    pub fn has(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    pub fn take(&mut self, name: &str) -> Option<Node<'a>> {
        self.position(name).map(|at| self.present.swap_remove(at).1)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        if let Some(Node::Text(text)) = self.get(name) { Some(text) } else { None }
    }

    pub fn owned_text(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub fn bool(&self, name: &str) -> Option<bool> {
        if let Some(Node::Bool(value)) = self.get(name) { Some(*value) } else { None }
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        if let Some(Node::Int(value)) = self.get(name) { Some(*value) } else { None }
    }

    pub fn double(&self, name: &str) -> Option<f64> {
        match self.get(name) {
            Some(Node::Double(value)) => Some(*value),
            Some(Node::Int(value)) => Some(*value as f64),
            _ => None,
        }
    }

    pub fn members(&mut self, name: &str) -> Option<Members<'a>> {
        if let Some(Node::Struct(members)) = self.take(name) { Some(members) } else { None }
    }

    pub fn list(&mut self, name: &str) -> Option<Vec<Node<'a>>> {
        if let Some(Node::List(nodes)) = self.take(name) { Some(nodes) } else { None }
    }

    /// The structures of a list; nulls among them were refused before.
    pub fn structures(&mut self, name: &str) -> Option<Vec<Members<'a>>> {
        let nodes = self.list(name)?;
        let members = |node| if let Node::Struct(members) = node { Some(members) } else { None };
        Some(nodes.into_iter().filter_map(members).collect())
    }

    pub fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let nodes = self.list(name)?;
        let text = |node| if let Node::Text(text) = node { Some(text.into_owned()) } else { None };
        Some(nodes.into_iter().filter_map(text).collect())
    }

    pub fn map(&mut self, name: &str) -> Option<Vec<(Cow<'a, str>, Node<'a>)>> {
        if let Some(Node::Map(entries)) = self.take(name) { Some(entries) } else { None }
    }

    pub fn attributes(&mut self, name: &str) -> Option<Attributes> {
        if let Some(Node::Attributes(attributes)) = self.take(name) { Some(attributes) } else { None }
    }

    pub fn value(&mut self, name: &str) -> Option<Value> {
        if let Some(Node::Value(value)) = self.take(name) { Some(value) } else { None }
    }
}

impl Node<'_> {
    /// Feeds what the node means to `hash`: equal requests feed the same, however their maps were ordered.
    pub fn digest(&self, hash: &mut Xxh3) {
        match self {
            Node::Null => hash.update(b"0"),
            Node::Text(text) => feed(hash, b't', text.as_bytes()),
            Node::Bool(value) => feed(hash, b'b', &[u8::from(*value)]),
            Node::Int(value) => feed(hash, b'i', &value.to_le_bytes()),
            Node::Double(value) => feed(hash, b'd', &value.to_le_bytes()),
            Node::List(nodes) => {
                feed(hash, b'l', &nodes.len().to_le_bytes());
                nodes.iter().for_each(|node| node.digest(hash));
            }
            Node::Map(entries) => {
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by(|a, b| a.0.cmp(&b.0));
                feed(hash, b'm', &entries.len().to_le_bytes());
                for (name, node) in sorted {
                    feed(hash, b'k', name.as_bytes());
                    node.digest(hash);
                }
            }
            Node::Struct(members) => {
                let mut sorted: Vec<_> = members.present.iter().collect();
                sorted.sort_by_key(|(place, _)| *place);
                feed(hash, b's', &members.present.len().to_le_bytes());
                for (place, node) in sorted {
                    feed(hash, b'k', members.structure.members[usize::from(*place)].name.as_bytes());
                    node.digest(hash);
                }
            }
            Node::Value(value) => feed(hash, b'v', &value.stored),
            Node::Attributes(attributes) => feed(hash, b'a', attributes.item.as_bytes()),
        }
    }
}

fn feed(hash: &mut Xxh3, tag: u8, bytes: &[u8]) {
    hash.update(&[tag]);
    hash.update(&(bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}
