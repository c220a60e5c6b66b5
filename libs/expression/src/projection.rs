//! Projections: the part of an item that a read asks for.

use tradewind_model::{Item, ItemRef};

use crate::error::{Kind, ParseError};
use crate::lexer;
use crate::parser::Parser;
use crate::path::{self, Path};
use crate::placeholders::Placeholders;
use crate::selection::Selection;

#[derive(Clone, Debug)]
pub struct Projection {
    selection: Selection,
}

impl Projection {
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Projection, ParseError> {
        let mut parser = Parser::new(Kind::Projection, text, placeholders)?;
        let mut paths = vec![parser.path()?];
        while parser.accept(lexer::Kind::Comma) {
            paths.push(parser.path()?);
        }
        path::check_clashes(&paths.iter().collect::<Vec<_>>(), &mut parser.faults);
        parser.finish()?;
        Ok(Projection { selection: paths.iter().collect() })
    }

    /// Whole top-level attributes, as AttributesToGet and the projections of indexes name them.
    pub fn from_names(names: Vec<String>) -> Projection {
        let paths: Vec<Path> = names.into_iter().map(Path::top).collect();
        Projection { selection: paths.iter().collect() }
    }

    /// The parts that exist, in their hierarchy; of lists only what was asked for, without gaps.
    pub fn project(&self, item: ItemRef<'_>) -> Item {
        self.selection.of(item).unwrap_or_else(Item::empty)
    }

    /// The top-level attributes of which it reads parts only.
    pub fn nested_names(&self) -> impl Iterator<Item = &str> {
        self.selection.nested_names()
    }

    /// The top-level attributes it reads, each once.
    pub fn attribute_names(&self) -> impl Iterator<Item = &str> {
        self.selection.names()
    }
}
