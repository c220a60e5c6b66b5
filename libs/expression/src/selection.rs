//! Parts of an item, by their paths: what projections and UPDATED_OLD, UPDATED_NEW show.
//!
//! The parts keep their hierarchy. Of a list only the chosen elements are left, without gaps; a container of which
//! nothing is chosen is left out.

use tradewind_model::{Item, ItemRef, Type, ValueRef, View, Writer};

use crate::path::{Path, Step};

/// Paths as a tree, entries in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    attributes: Vec<(String, Node)>,
}

#[derive(Clone, Debug)]
enum Node {
    Whole,
    Names(Vec<(String, Node)>),
    Indexes(Vec<(usize, Node)>),
}

/// A chosen part of a stored value.
enum Part<'a> {
    Value(ValueRef<'a>),
    L(Vec<Part<'a>>),
    M(Vec<(&'a str, Part<'a>)>),
}

impl<'p> FromIterator<&'p Path> for Selection {
    fn from_iter<I: IntoIterator<Item = &'p Path>>(paths: I) -> Selection {
        let mut selection = Selection::default();
        paths.into_iter().for_each(|path| selection.insert(path));
        selection
    }
}

impl Selection {
    pub fn insert(&mut self, path: &Path) {
        insert_entry(&mut self.attributes, &path.name, &path.steps);
    }

    /// In order, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|(name, _)| name.as_str())
    }

    /// Those of which only parts are chosen.
    pub fn nested_names(&self) -> impl Iterator<Item = &str> {
        let nested = self.attributes.iter().filter(|(_, node)| !matches!(node, Node::Whole));
        nested.map(|(name, _)| name.as_str())
    }

    /// The chosen parts that exist; `None` where none does.
    pub fn of(&self, item: ItemRef<'_>) -> Option<Item> {
        let parts = of_map(item.attributes().iter(), &self.attributes);
        (!parts.is_empty()).then(|| Item::build(|out| write_entries(&parts, out)))
    }
}

fn insert_entry<K: Ord + Clone>(entries: &mut Vec<(K, Node)>, key: &K, steps: &[Step]) {
    match entries.binary_search_by(|(found, _)| found.cmp(key)) {
        Ok(at) => entries[at].1.insert(steps),
        Err(at) => entries.insert(at, (key.clone(), Node::new(steps))),
    }
}

impl Node {
    fn new(steps: &[Step]) -> Node {
        match steps.split_first() {
            None => Node::Whole,
            Some((Step::Name(name), rest)) => Node::Names(vec![(name.clone(), Node::new(rest))]),
            Some((Step::Index(index), rest)) => Node::Indexes(vec![(*index, Node::new(rest))]),
        }
    }

    /// The parsers let no path through that overlaps or conflicts with another; of others the wider or first stays.
    fn insert(&mut self, steps: &[Step]) {
        match (&mut *self, steps.split_first()) {
            (_, None) => *self = Node::Whole,
            (Node::Names(entries), Some((Step::Name(name), rest))) => insert_entry(entries, name, rest),
            (Node::Indexes(entries), Some((Step::Index(index), rest))) => insert_entry(entries, index, rest),
            _ => (),
        }
    }

    fn of<'a>(&self, value: ValueRef<'a>) -> Option<Part<'a>> {
        match (self, value.view()) {
            (Node::Whole, _) => Some(Part::Value(value)),
            (Node::Names(entries), View::M(map)) => {
                Some(of_map(map.iter(), entries)).filter(|parts| !parts.is_empty()).map(Part::M)
            }
            (Node::Indexes(entries), View::L(list)) => {
                Some(of_list(list.iter(), entries)).filter(|parts| !parts.is_empty()).map(Part::L)
            }
            _ => None,
        }
    }
}

/// Both sides ascend by name.
fn of_map<'a>(
    values: impl Iterator<Item = (&'a str, ValueRef<'a>)>,
    entries: &[(String, Node)],
) -> Vec<(&'a str, Part<'a>)> {
    let mut entries = entries.iter().peekable();
    let mut parts = Vec::new();
    for (name, value) in values {
        while entries.next_if(|(wanted, _)| wanted.as_str() < name).is_some() {}
        match entries.peek() {
            None => break,
            Some((wanted, node)) if wanted == name => parts.extend(node.of(value).map(|part| (name, part))),
            Some(_) => (),
        }
    }
    parts
}

fn of_list<'a>(values: impl Iterator<Item = ValueRef<'a>>, entries: &[(usize, Node)]) -> Vec<Part<'a>> {
    let mut entries = entries.iter().peekable();
    let mut parts = Vec::new();
    for (index, value) in values.enumerate() {
        match entries.peek() {
            None => break,
            Some((wanted, node)) if *wanted == index => {
                parts.extend(node.of(value));
                entries.next();
            }
            Some(_) => (),
        }
    }
    parts
}

impl Part<'_> {
    fn write(&self, out: &mut Writer) {
        match self {
            Part::Value(value) => out.value(*value),
            Part::L(parts) => {
                let mark = out.begin(Type::L);
                parts.iter().for_each(|part| part.write(out));
                out.end_list(mark, parts.len());
            }
            Part::M(parts) => {
                let mark = out.begin(Type::M);
                write_entries(parts, out);
                out.end_map(mark);
            }
        }
    }
}

fn write_entries(parts: &[(&str, Part<'_>)], out: &mut Writer) {
    for (name, part) in parts {
        out.name(name);
        part.write(out);
    }
}
