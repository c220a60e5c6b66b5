//! One test or assignment as the text of a condition or update expression, with placeholders for all names and values.
//!
//! What the operands may be is then checked where it is for every other expression, and refused in the same words.

use crate::condition::Condition;
use crate::error::Kind;
use crate::partiql::error::StatementError;
use crate::partiql::term::Term;
use crate::path::{Path, Step};
use crate::placeholders::Placeholders;
use crate::update::Update;

#[derive(Default)]
pub(super) struct Rendering {
    text: String,
    names: Vec<(String, String)>,
    values: Vec<(String, Vec<u8>)>,
}

impl Rendering {
    /// Keywords and symbols.
    pub fn word(mut self, word: &str) -> Rendering {
        self.text.push(' ');
        self.text.push_str(word);
        self.text.push(' ');
        self
    }

    pub fn term(self, term: Term) -> Rendering {
        match term {
            Term::Path(path) => self.path(&path),
            Term::Value(stored) => self.value(stored),
            Term::Call(call) => self.word(&call.name).list(call.operands),
            Term::Arithmetic(left, operator, right) => self.term(*left).word(operator).term(*right),
        }
    }

    /// Operands in parentheses.
    pub fn list(self, operands: Vec<Term>) -> Rendering {
        let mut rendering = self.word("(");
        for (at, operand) in operands.into_iter().enumerate() {
            rendering = if at > 0 { rendering.word(",") } else { rendering };
            rendering = rendering.term(operand);
        }
        rendering.word(")")
    }

    pub fn path(mut self, path: &Path) -> Rendering {
        self.name(&path.name);
        for step in &path.steps {
            match step {
                Step::Name(name) => {
                    self.text.push('.');
                    self.name(name);
                }
                Step::Index(index) => self.text.push_str(&format!("[{index}]")),
            }
        }
        self
    }

    fn name(&mut self, name: &str) {
        let key = format!("#{}", self.names.len());
        self.text.push_str(&key);
        self.names.push((key, name.to_owned()));
    }

    fn value(mut self, stored: Vec<u8>) -> Rendering {
        let key = format!(":{}", self.values.len());
        self.text.push_str(&key);
        self.values.push((key, stored));
        self
    }

    pub fn condition(self) -> Result<Condition, StatementError> {
        let mut placeholders = Placeholders::new(self.names, self.values);
        Ok(Condition::parse(Kind::Condition, &self.text, &mut placeholders)?)
    }

    pub fn update(self) -> Result<Update, StatementError> {
        let mut placeholders = Placeholders::new(self.names, self.values);
        Ok(Update::parse(&self.text, &mut placeholders)?)
    }
}
