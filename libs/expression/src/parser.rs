//! What the parsers of all kinds share: a walk over the tokens, document paths, values, and the limits.
//!
//! A syntax error ends the parsing. Every other error is only noted, with something harmless in its place, because a
//! syntax error further on would go first.

use crate::constant::Constant;
use crate::error::{Faults, Kind, ParseError};
use crate::lexer::{self, Token};
use crate::path::{Path, Step};
use crate::placeholders::Placeholders;
use crate::reserved;

/// Of each expression's text. (Developer guide, "Service quotas".)
const MAX_BYTES: usize = 4096;
/// Operators and functions of one expression. (Developer guide, "Service quotas".)
const MAX_OPERATORS: usize = 300;
/// Levels of a document path. (Developer guide, "Service quotas".)
const MAX_LEVELS: usize = 32;
/// Groups inside each other that are not redundant each hold an operator, so that valid conditions are hardly deeper
/// than they have operators. It is what bounds the stack.
const MAX_DEPTH: usize = MAX_OPERATORS + 10;

pub(crate) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    operators: usize,
    /// The tokens of the group that was closed last.
    last_group: Option<(usize, usize)>,
    placeholders: &'a mut Placeholders,
    pub faults: Faults,
}

impl<'a> Parser<'a> {
    pub fn new(
        kind: Kind,
        text: &'a str,
        placeholders: &'a mut Placeholders,
    ) -> Result<Parser<'a>, ParseError> {
        match text.len() {
            0 => Err(ParseError::Empty),
            1..=MAX_BYTES => Ok(Parser {
                text,
                tokens: lexer::tokens(text),
                at: 0,
                depth: 0,
                operators: 0,
                last_group: None,
                placeholders,
                faults: Faults::new(kind),
            }),
            bytes => Err(ParseError::TooLong(bytes)),
        }
    }

    pub fn peek(&self) -> lexer::Kind {
        self.tokens[self.at].kind
    }

    /// Takes the current token; the end is never passed.
    pub fn take(&mut self) -> &'a str {
        let token = self.tokens[self.at];
        if token.kind != lexer::Kind::End {
            self.at += 1;
        }
        &self.text[token.start..token.end]
    }

    pub fn accept(&mut self, kind: lexer::Kind) -> bool {
        let found = self.peek() == kind;
        if found {
            self.take();
        }
        found
    }

    pub fn expect(&mut self, kind: lexer::Kind) -> Result<&'a str, ParseError> {
        if self.peek() == kind { Ok(self.take()) } else { Err(self.unexpected()) }
    }

    /// The error of finding the current token where it is.
    pub fn unexpected(&self) -> ParseError {
        lexer::syntax_error(self.text, &self.tokens, self.at)
    }

    /// At a bare name that is a function's.
    pub fn at_call(&self) -> bool {
        let next = self.tokens.get(self.at + 1).map(|token| token.kind);
        self.peek() == lexer::Kind::Name && next == Some(lexer::Kind::Open)
    }

    /// Ends the parsing: nothing may be left, and the noted error, if any, is the result.
    pub fn finish(mut self) -> Result<(), ParseError> {
        self.expect(lexer::Kind::End)?;
        if self.operators > MAX_OPERATORS {
            self.faults.note(ParseError::TooManyOperators(MAX_OPERATORS + 1));
        }
        self.faults.result()
    }

    /// Counts one operator or function.
    pub fn operator(&mut self) {
        self.operators += 1;
    }

    /// Takes a parenthesis that groups; [`Parser::close`] wants what this answers.
    pub fn open(&mut self) -> Result<usize, ParseError> {
        let opened = self.at;
        self.expect(lexer::Kind::Open)?;
        self.deeper()?;
        Ok(opened)
    }

    /// Takes the other parenthesis. It is redundant if directly inside there was another pair and nothing else.
    pub fn close(&mut self, opened: usize) -> Result<(), ParseError> {
        let closed = self.at;
        self.expect(lexer::Kind::Close)?;
        self.depth -= 1;
        if self.last_group == Some((opened + 1, closed - 1)) {
            self.faults.note(ParseError::RedundantParentheses);
        }
        self.last_group = Some((opened, closed));
        Ok(())
    }

    fn deeper(&mut self) -> Result<(), ParseError> {
        self.depth += 1;
        if self.depth <= MAX_DEPTH { Ok(()) } else { Err(self.too_deep()) }
    }

    /// Too deep to be valid, and for the stack: why is told without parsing to the end.
    fn too_deep(&self) -> ParseError {
        let balance = self.tokens.iter().fold(0i64, |open, token| match token.kind {
            lexer::Kind::Open => open + 1,
            lexer::Kind::Close => open - 1,
            _ => open,
        });
        if balance != 0 {
            return lexer::syntax_error(self.text, &self.tokens, self.tokens.len() - 1);
        }
        if self.operators > MAX_OPERATORS {
            return ParseError::TooManyOperators(MAX_OPERATORS + 1);
        }
        ParseError::RedundantParentheses
    }

    pub fn path(&mut self) -> Result<Path, ParseError> {
        let mut path = Path::top(self.name()?);
        loop {
            if self.accept(lexer::Kind::Dot) {
                path.steps.push(Step::Name(self.name()?));
            } else if self.accept(lexer::Kind::OpenBracket) {
                path.steps.push(Step::Index(self.index()?));
            } else {
                break;
            }
        }
        let levels = 1 + path.steps.len();
        if levels > MAX_LEVELS {
            self.faults.note(ParseError::TooManyLevels(levels));
        }
        Ok(path)
    }

    fn name(&mut self) -> Result<String, ParseError> {
        match self.peek() {
            lexer::Kind::Name => {
                let name = self.take();
                if reserved::is_reserved(name) {
                    self.faults.note(ParseError::Reserved(name.to_owned()));
                }
                Ok(name.to_owned())
            }
            lexer::Kind::NameRef => {
                let key = self.take();
                Ok(self.placeholders.name(key).unwrap_or_else(|error| {
                    self.faults.note(error);
                    key.to_owned()
                }))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn index(&mut self) -> Result<usize, ParseError> {
        let digits = self.expect(lexer::Kind::Number)?;
        self.expect(lexer::Kind::CloseBracket)?;
        let index = digits.parse::<i32>().ok().and_then(|index| usize::try_from(index).ok());
        Ok(index.unwrap_or_else(|| {
            self.faults.note(ParseError::IndexRange(digits.to_owned()));
            0
        }))
    }

    pub fn value(&mut self) -> Result<Constant, ParseError> {
        let key = self.expect(lexer::Kind::ValueRef)?;
        Ok(self.placeholders.value(key).unwrap_or_else(|error| {
            self.faults.note(error);
            Constant::from(Vec::new())
        }))
    }

    /// `name(operand, …)` behind its name, at the parenthesis; at least one operand.
    pub fn arguments<T>(
        &mut self,
        mut operand: impl FnMut(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        self.expect(lexer::Kind::Open)?;
        self.deeper()?;
        let mut arguments = vec![operand(self)?];
        while self.accept(lexer::Kind::Comma) {
            arguments.push(operand(self)?);
        }
        self.expect(lexer::Kind::Close)?;
        self.depth -= 1;
        Ok(arguments)
    }
}
