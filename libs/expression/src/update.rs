//! Updates: what they are made of.

mod apply;
mod edit;
mod parse;

use tradewind_model::{Item, ItemRef};

use crate::constant::Constant;
use crate::error::{Faults, Kind, ParseError};
use crate::path::{Path, check_clashes};
use crate::selection::Selection;

/// All actions of one update. Without any, it only makes sure that the item exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Update {
    pub actions: Vec<Action>,
    /// From the parameter AttributeUpdates: `ADD` takes lists, and type errors are worded otherwise.
    pub legacy: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Action {
    Set(Path, Value),
    Remove(Path),
    /// A number or set; a list only in legacy updates.
    Add(Path, Constant),
    /// Takes the elements of a set away.
    Delete(Path, Constant),
}

/// The right-hand side of `SET`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Value {
    Of(Operand),
    Sum(Operand, Operand),
    Difference(Operand, Operand),
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Operand {
    Path(Path),
    Value(Constant),
    IfNotExists(Path, Box<Operand>),
    ListAppend(Box<Operand>, Box<Operand>),
}

impl Action {
    /// What it writes.
    pub fn path(&self) -> &Path {
        match self {
            Action::Set(path, _) | Action::Remove(path) | Action::Add(path, _) | Action::Delete(path, _) => {
                path
            }
        }
    }

    /// Only takes away, so that it creates no item where there is none.
    fn only_takes(&self) -> bool {
        matches!(self, Action::Remove(_) | Action::Delete(..))
    }
}

impl Operand {
    fn collect_paths<'a>(&'a self, out: &mut Vec<&'a Path>) {
        match self {
            Operand::Path(path) => out.push(path),
            Operand::Value(_) => (),
            Operand::IfNotExists(path, other) => {
                out.push(path);
                other.collect_paths(out);
            }
            Operand::ListAppend(one, other) => {
                one.collect_paths(out);
                other.collect_paths(out);
            }
        }
    }
}

impl Update {
    /// What the parameter AttributeUpdates asks for: PUT is [`Action::Set`], DELETE without a value
    /// [`Action::Remove`] and with one [`Action::Delete`], ADD [`Action::Add`].
    pub fn legacy(actions: Vec<Action>) -> Update {
        Update { actions, legacy: true }
    }

    /// Refuses paths that overlap or conflict, as parsing does: for those who build an update themselves.
    pub fn check_paths(&self) -> Result<(), ParseError> {
        let mut faults = Faults::new(Kind::Update);
        let paths: Vec<&Path> = self.actions.iter().map(Action::path).collect();
        check_clashes(&paths, &mut faults);
        faults.result()
    }

    /// What UPDATED_OLD and UPDATED_NEW show of an image: the touched paths that exist in it.
    pub fn touched(&self, image: ItemRef<'_>) -> Option<Item> {
        self.actions.iter().map(Action::path).collect::<Selection>().of(image)
    }

    /// Every path it writes or reads; some may repeat.
    pub fn paths(&self) -> Vec<&Path> {
        let mut paths = Vec::with_capacity(self.actions.len());
        for action in &self.actions {
            paths.push(action.path());
            match action {
                Action::Set(_, Value::Of(operand)) => operand.collect_paths(&mut paths),
                Action::Set(_, Value::Sum(one, other) | Value::Difference(one, other)) => {
                    one.collect_paths(&mut paths);
                    other.collect_paths(&mut paths);
                }
                Action::Remove(_) | Action::Add(..) | Action::Delete(..) => (),
            }
        }
        paths
    }

    /// The top-level attributes it writes, in the order of their mention; some may repeat.
    pub fn attribute_names(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().map(|action| action.path().name.as_str())
    }
}
