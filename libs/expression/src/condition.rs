//! Conditions and filters: what they are made of. An absent item is one whose attributes are all missing.

mod evaluate;
mod parse;
mod validate;

use tradewind_model::Type;

use crate::constant::Constant;
use crate::path::Path;

/// A condition or filter. The parser bounds its nesting; whoever else builds one does so too.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Comparator, Operand, Operand),
    /// Value, lower bound, upper bound; both inclusive.
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    Missing(Path),
    HasType(Operand, Type),
    BeginsWith(Operand, Operand),
    /// A string in a string, or an element in a set or list.
    Contains(Operand, Operand),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Comparator {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparator {
    pub fn symbol(self) -> &'static str {
        match self {
            Comparator::Eq => "=",
            Comparator::Ne => "<>",
            Comparator::Lt => "<",
            Comparator::Le => "<=",
            Comparator::Gt => ">",
            Comparator::Ge => ">=",
        }
    }

    /// What compares the same with both sides swapped.
    pub fn mirrored(self) -> Comparator {
        match self {
            Comparator::Lt => Comparator::Gt,
            Comparator::Le => Comparator::Ge,
            Comparator::Gt => Comparator::Lt,
            Comparator::Ge => Comparator::Le,
            same => same,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Operand {
    Path(Path),
    Value(Constant),
    /// `size(…)` of a path or value.
    Size(Box<Operand>),
}

impl Operand {
    /// The type it surely has where there is anything.
    pub(crate) fn known_type(&self) -> Option<Type> {
        match self {
            Operand::Path(_) => None,
            Operand::Value(constant) => Some(constant.value().kind()),
            Operand::Size(_) => Some(Type::N),
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Operand::Path(path) => Some(path),
            Operand::Value(_) => None,
            Operand::Size(inner) => inner.path(),
        }
    }
}

impl Condition {
    /// The top-level attributes it reads, in the order of their mention; some may repeat.
    pub fn attribute_names(&self) -> impl Iterator<Item = &str> {
        self.paths().into_iter().map(|path| path.name.as_str())
    }

    /// The paths it reads, in the order of their mention; some may repeat.
    pub fn paths(&self) -> Vec<&Path> {
        let mut paths = Vec::new();
        self.collect_paths(&mut paths);
        paths
    }

    fn collect_paths<'a>(&'a self, out: &mut Vec<&'a Path>) {
        match self {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().for_each(|part| part.collect_paths(out));
            }
            Condition::Not(inner) => inner.collect_paths(out),
            Condition::Compare(_, a, b) | Condition::BeginsWith(a, b) | Condition::Contains(a, b) => {
                out.extend([a, b].into_iter().filter_map(Operand::path));
            }
            Condition::Between(a, b, c) => out.extend([a, b, c].into_iter().filter_map(Operand::path)),
            Condition::In(first, rest) => {
                out.extend(std::iter::once(first).chain(rest).filter_map(Operand::path));
            }
            Condition::Exists(path) | Condition::Missing(path) => out.push(path),
            Condition::HasType(operand, _) => out.extend(operand.path()),
        }
    }
}
