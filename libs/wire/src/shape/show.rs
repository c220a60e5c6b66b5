//! Values as the framework's messages show them, in the manner of Java's `toString`.

use std::fmt::{self, Display, Formatter};

use tradewind_model::ValueRef;

use crate::attribute_value::{render_item, render_value};
use crate::shape::node::Node;

pub(crate) struct Show<'n, 'a>(pub &'n Node<'a>);

impl Display for Show<'_, '_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Node::Null => f.write_str("null"),
            Node::Text(text) => f.write_str(text),
            Node::Bool(value) => write!(f, "{value}"),
            Node::Int(value) => write!(f, "{value}"),
            Node::Double(value) => write!(f, "{value:?}"),
            Node::List(nodes) => joined(f, "[", nodes.iter(), "]", |f, node| write!(f, "{}", Show(node))),
            Node::Map(entries) => {
                joined(f, "{", entries.iter(), "}", |f, (name, node)| write!(f, "{name}={}", Show(node)))
            }
            Node::Struct(members) => {
                f.write_str(members.structure.name)?;
                joined(f, "(", members.present.iter(), ")", |f, (place, node)| {
                    let name = members.structure.members[usize::from(*place)].name;
                    write!(f, "{}={}", LowerFirst(name), Show(node))
                })
            }
            Node::Value(value) => {
                let mut out = Vec::new();
                render_value(ValueRef::new(value.as_bytes()), &mut out);
                f.write_str(&String::from_utf8_lossy(&out))
            }
            Node::Attributes(attributes) => {
                let mut out = Vec::new();
                render_item(attributes.as_ref(), &mut out);
                f.write_str(&String::from_utf8_lossy(&out))
            }
        }
    }
}

fn joined<T>(
    f: &mut Formatter<'_>,
    open: &str,
    parts: impl Iterator<Item = T>,
    close: &str,
    mut show: impl FnMut(&mut Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    f.write_str(open)?;
    for (i, part) in parts.enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        show(f, part)?;
    }
    f.write_str(close)
}

/// A member's name as a path spells it: `tableName` for TableName.
pub(crate) struct LowerFirst<'a>(pub &'a str);

impl Display for LowerFirst<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (first, rest) = self.0.split_at(self.0.len().min(1));
        write!(f, "{}{rest}", first.to_ascii_lowercase())
    }
}
