//! A walk over the tokens of a statement, with its parameters and the bounds on nesting.

use std::vec;

use tradewind_model::Writer;

use crate::error::ParseError;
use crate::partiql::error::{Place, StatementError};
use crate::partiql::lexer::{self, Kind, Token};
use crate::partiql::reserved::is_reserved;

/// Parentheses, function calls and literals inside each other; items have at most 32 levels. It bounds the stack.
const MAX_DEPTH: usize = 64;
/// Operators and functions of one statement, as of other expressions. (Developer guide, "Service quotas".)
const MAX_OPERATORS: usize = 300;

pub(super) struct Cursor<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    parameters: vec::IntoIter<Vec<u8>>,
    /// A question mark had no parameter. Told at the end, because a syntax error goes first.
    lacks_parameter: bool,
    depth: usize,
    operators: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str, parameters: Vec<Vec<u8>>) -> Cursor<'a> {
        let parameters = parameters.into_iter();
        let tokens = lexer::tokens(text);
        Cursor { text, tokens, at: 0, parameters, lacks_parameter: false, depth: 0, operators: 0 }
    }

    /// Nothing may be left, of the text or of the parameters.
    pub fn finish(mut self) -> Result<(), StatementError> {
        self.accept(";");
        if self.kind() != Kind::End {
            return Err(self.unexpected());
        }
        if self.lacks_parameter || self.parameters.len() > 0 {
            return Err(StatementError::ParameterCount);
        }
        Ok(())
    }

    fn token(&self) -> Token {
        self.tokens[self.at]
    }

    pub fn kind(&self) -> Kind {
        self.token().kind
    }

    /// The current token's text.
    pub fn shown(&self) -> &'a str {
        let token = self.token();
        &self.text[token.start..token.end]
    }

    /// Takes the current token; the end is never passed.
    pub fn take(&mut self) -> &'a str {
        let shown = self.shown();
        if self.kind() != Kind::End {
            self.at += 1;
        }
        shown
    }

    pub fn at_symbol(&self, symbol: &str) -> bool {
        self.kind() == Kind::Symbol && self.shown() == symbol
    }

    pub fn at_word(&self, word: &str) -> bool {
        self.kind() == Kind::Word && self.shown().eq_ignore_ascii_case(word)
    }

    pub fn accept(&mut self, symbol: &str) -> bool {
        let found = self.at_symbol(symbol);
        self.at += usize::from(found);
        found
    }

    pub fn accept_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        self.at += usize::from(found);
        found
    }

    pub fn expect(&mut self, symbol: &str) -> Result<(), StatementError> {
        if self.accept(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub fn expect_word(&mut self, word: &str) -> Result<(), StatementError> {
        if self.accept_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The error of finding the current token where it is.
    pub fn unexpected(&self) -> StatementError {
        let what = match self.kind() {
            Kind::End => "end of statement",
            Kind::Word if self.at_reserved() => "keyword",
            Kind::Word | Kind::Name | Kind::Text | Kind::Number | Kind::Parameter => "term",
            Kind::Symbol | Kind::Unknown => "token",
        };
        StatementError::Malformed(format!("Unexpected {what} at {}", self.place()))
    }

    pub fn place(&self) -> Place {
        let token = self.token();
        let before = &self.text[..token.start];
        let line = &before[before.rfind('\n').map_or(0, |at| at + 1)..];
        Place {
            line: 1 + before.bytes().filter(|byte| *byte == b'\n').count(),
            column: 1 + line.chars().count(),
            length: self.shown().chars().count(),
        }
    }

    fn at_reserved(&self) -> bool {
        self.kind() == Kind::Word && is_reserved(self.shown())
    }

    pub fn at_name(&self) -> bool {
        self.kind() == Kind::Name || self.kind() == Kind::Word && !self.at_reserved()
    }

    /// At a bare word with a parenthesis behind it.
    pub fn at_call(&self) -> bool {
        let next = self.tokens.get(self.at + 1);
        self.kind() == Kind::Word && next.is_some_and(|next| &self.text[next.start..next.end] == "(")
    }

    /// A bare or quoted name.
    pub fn name(&mut self) -> Result<String, StatementError> {
        if !self.at_name() {
            return Err(self.unexpected());
        }
        if self.kind() == Kind::Word {
            return Ok(self.take().to_owned());
        }
        let name = unquoted(self.take(), '"');
        if name.is_empty() { Err(StatementError::EmptyName) } else { Ok(name) }
    }

    /// The content of a string literal, at which the cursor is.
    pub fn string(&mut self) -> String {
        unquoted(self.take(), '\'')
    }

    /// The stored value for a question mark, at which the cursor is.
    pub fn parameter(&mut self) -> Vec<u8> {
        self.take();
        self.parameters.next().unwrap_or_else(|| {
            self.lacks_parameter = true;
            let mut null = Writer::default();
            null.null();
            null.finish()
        })
    }

    /// Runs `inner` one level deeper.
    pub fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, StatementError>,
    ) -> Result<T, StatementError> {
        if self.depth == MAX_DEPTH {
            return Err(StatementError::Nesting);
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Counts one operator or function.
    pub fn operator(&mut self) -> Result<(), StatementError> {
        self.operators += 1;
        match self.operators {
            ..=MAX_OPERATORS => Ok(()),
            count => Err(ParseError::TooManyOperators(count).into()),
        }
    }
}

fn unquoted(token: &str, quote: char) -> String {
    let inner = token.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)).unwrap_or(token);
    inner.replace(&format!("{quote}{quote}"), &quote.to_string())
}
