//! The columns of SELECT: parts of items, each under the last name of its path.

use tradewind_model::{Item, ItemRef};

use crate::error::{Faults, Kind};
use crate::partiql::error::StatementError;
use crate::path::{self, Path, Step};
use crate::selection::Selection;

#[derive(Clone, Debug, Default)]
pub struct Columns {
    columns: Vec<Column>,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    path: Path,
}

impl Columns {
    pub(super) fn add(&mut self, path: Path) {
        let name = column_name(&path);
        self.columns.push(Column { name, path });
    }

    /// No two of one name, and none inside another.
    pub(super) fn check(&self) -> Result<(), StatementError> {
        let mut names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(StatementError::DuplicateColumn(twice[0].to_owned()));
        }
        let mut faults = Faults::new(Kind::Projection);
        path::check_clashes(&self.paths().collect::<Vec<_>>(), &mut faults);
        Ok(faults.result()?)
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.columns.iter().map(|column| &column.path)
    }

    /// The top-level attributes it reads; some may repeat.
    pub fn attribute_names(&self) -> impl Iterator<Item = &str> {
        self.paths().map(|path| path.name.as_str())
    }

    /// One attribute for each column that exists, as ExecuteStatement shows them: of `a.b` and `l[0]`, `b` and `l[0]`.
    pub fn flat(&self, item: ItemRef<'_>) -> Item {
        Item::build(|out| {
            for column in &self.columns {
                if let Some(value) = column.path.resolve(item) {
                    out.name(&column.name);
                    out.value(value);
                }
            }
        })
    }

    /// The parts in their hierarchy, as reads by key show them in batches and transactions.
    pub fn nested(&self, item: ItemRef<'_>) -> Item {
        self.paths().collect::<Selection>().of(item).unwrap_or_else(Item::empty)
    }
}

/// The path's last name and the indexes behind it.
fn column_name(path: &Path) -> String {
    path.steps.iter().fold(path.name.clone(), |name, step| match step {
        Step::Name(last) => last.clone(),
        Step::Index(index) => format!("{name}[{index}]"),
    })
}
