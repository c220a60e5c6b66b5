//! The grammar of conditions, filters and key conditions.
//!
//! ```text
//! condition   all (OR all)*
//! all         negation (AND negation)*
//! negation    NOT negation | test
//! test        operand comparator operand | operand BETWEEN operand AND operand
//!             | operand IN '(' operand (',' operand)* ')' | function | '(' condition ')'
//! operand     path | :value | function | '(' operand ')'
//! function    name '(' operand (',' operand)* ')'
//! ```
//!
//! After `(` either a condition or an operand can follow, and after a function nothing or a comparator: which it is
//! shows only later. Until its neighbour decides, such a part is a [`Part::Bare`].

use crate::condition::validate::{self, Call};
use crate::condition::{Comparator, Condition, Operand};
use crate::error::{Kind, ParseError};
use crate::lexer;
use crate::parser::Parser;
use crate::placeholders::Placeholders;

impl Condition {
    /// `kind` says whether it is a condition, a filter or a key condition; the grammar is the same.
    pub fn parse(kind: Kind, text: &str, placeholders: &mut Placeholders) -> Result<Condition, ParseError> {
        let mut parser = Parser::new(kind, text, placeholders)?;
        let condition = any(&mut parser, false)?.into_condition(&mut parser)?;
        parser.finish()?;
        Ok(*condition)
    }
}

/// Boxed, because it is what every frame of the recursion holds, and hundreds may be on the stack.
enum Part<'a> {
    Condition(Box<Condition>),
    Bare(Box<Bare<'a>>),
}

/// A path, value or function, where it is not yet known how it is used.
enum Bare<'a> {
    Operand(Operand),
    Call(Call<'a>),
}

impl Part<'_> {
    fn condition(condition: Condition) -> Part<'static> {
        Part::Condition(Box::new(condition))
    }

    /// An operand alone is no condition, which shows at the token behind it.
    fn into_condition(self, parser: &mut Parser<'_>) -> Result<Box<Condition>, ParseError> {
        match self {
            Part::Condition(condition) => Ok(condition),
            Part::Bare(bare) => match *bare {
                Bare::Call(call) => Ok(Box::new(call.into_condition(&mut parser.faults))),
                Bare::Operand(_) => Err(parser.unexpected()),
            },
        }
    }
}

impl Bare<'_> {
    fn into_operand(self, parser: &mut Parser<'_>) -> Operand {
        match self {
            Bare::Operand(operand) => operand,
            Bare::Call(call) => call.into_operand(&mut parser.faults),
        }
    }
}

/// `inside`: of parentheses, where an operand may stand alone.
fn any<'a>(parser: &mut Parser<'a>, inside: bool) -> Result<Part<'a>, ParseError> {
    let first = all(parser, inside)?;
    chain(parser, first, lexer::Kind::Or, Condition::Any, |parser| all(parser, false))
}

fn all<'a>(parser: &mut Parser<'a>, inside: bool) -> Result<Part<'a>, ParseError> {
    let first = negation(parser, inside)?;
    chain(parser, first, lexer::Kind::And, Condition::All, |parser| negation(parser, false))
}

/// `first (word next)*`
fn chain<'a>(
    parser: &mut Parser<'a>,
    first: Part<'a>,
    word: lexer::Kind,
    join: fn(Vec<Condition>) -> Condition,
    next: fn(&mut Parser<'a>) -> Result<Part<'a>, ParseError>,
) -> Result<Part<'a>, ParseError> {
    if parser.peek() != word {
        return Ok(first);
    }
    let mut parts = vec![*first.into_condition(parser)?];
    while parser.accept(word) {
        parser.operator();
        parts.push(*next(parser)?.into_condition(parser)?);
    }
    Ok(Part::condition(join(parts)))
}

fn negation<'a>(parser: &mut Parser<'a>, inside: bool) -> Result<Part<'a>, ParseError> {
    let mut negations = 0;
    while parser.accept(lexer::Kind::Not) {
        parser.operator();
        negations += 1;
    }
    let part = test(parser, inside && negations == 0)?;
    if negations == 0 {
        return Ok(part);
    }
    let condition = part.into_condition(parser)?;
    let negate = |inner, _| Box::new(Condition::Not(inner));
    Ok(Part::Condition((0..negations).fold(condition, negate)))
}

fn test<'a>(parser: &mut Parser<'a>, inside: bool) -> Result<Part<'a>, ParseError> {
    let left = match parser.peek() {
        lexer::Kind::Open => group(parser)?,
        _ => Part::Bare(Box::new(bare(parser)?)),
    };
    match left {
        Part::Condition(_) => Ok(left),
        Part::Bare(left) => rest(parser, left, inside),
    }
}

/// What follows a test's first operand, if it is one.
fn rest<'a>(parser: &mut Parser<'a>, left: Box<Bare<'a>>, inside: bool) -> Result<Part<'a>, ParseError> {
    match parser.peek() {
        lexer::Kind::Between => Ok(Part::condition(between(parser, *left)?)),
        lexer::Kind::In => Ok(Part::condition(within(parser, *left)?)),
        kind => match comparator(kind) {
            Some(comparator) => Ok(Part::condition(comparison(parser, comparator, *left)?)),
            None if inside && kind == lexer::Kind::Close => Ok(Part::Bare(left)),
            None => Ok(Part::Condition(Part::Bare(left).into_condition(parser)?)),
        },
    }
}

fn group<'a>(parser: &mut Parser<'a>) -> Result<Part<'a>, ParseError> {
    let opened = parser.open()?;
    let inner = any(parser, true)?;
    parser.close(opened)?;
    Ok(inner)
}

fn bare<'a>(parser: &mut Parser<'a>) -> Result<Bare<'a>, ParseError> {
    match parser.peek() {
        lexer::Kind::ValueRef => Ok(Bare::Operand(Operand::Value(parser.value()?))),
        _ if parser.at_call() => {
            let name = parser.take();
            parser.operator();
            Ok(Bare::Call(Call::new(name, parser.arguments(operand)?)))
        }
        _ => Ok(Bare::Operand(Operand::Path(parser.path()?))),
    }
}

fn operand(parser: &mut Parser<'_>) -> Result<Operand, ParseError> {
    if parser.peek() == lexer::Kind::Open {
        let opened = parser.open()?;
        let inner = operand(parser)?;
        parser.close(opened)?;
        return Ok(inner);
    }
    let bare = bare(parser)?;
    Ok(bare.into_operand(parser))
}

fn comparison(
    parser: &mut Parser<'_>,
    comparator: Comparator,
    left: Bare<'_>,
) -> Result<Condition, ParseError> {
    let left = left.into_operand(parser);
    parser.take();
    parser.operator();
    let right = operand(parser)?;
    validate::comparison(&mut parser.faults, comparator, &left, &right);
    Ok(Condition::Compare(comparator, left, right))
}

fn between(parser: &mut Parser<'_>, value: Bare<'_>) -> Result<Condition, ParseError> {
    let value = value.into_operand(parser);
    parser.expect(lexer::Kind::Between)?;
    parser.operator();
    let lower = operand(parser)?;
    parser.expect(lexer::Kind::And)?;
    let upper = operand(parser)?;
    validate::between(&mut parser.faults, &value, &lower, &upper);
    Ok(Condition::Between(value, lower, upper))
}

fn within(parser: &mut Parser<'_>, value: Bare<'_>) -> Result<Condition, ParseError> {
    let value = value.into_operand(parser);
    parser.expect(lexer::Kind::In)?;
    parser.operator();
    let candidates = parser.arguments(operand)?;
    validate::within(&mut parser.faults, &value, &candidates);
    Ok(Condition::In(value, candidates))
}

fn comparator(kind: lexer::Kind) -> Option<Comparator> {
    Some(match kind {
        lexer::Kind::Eq => Comparator::Eq,
        lexer::Kind::Ne => Comparator::Ne,
        lexer::Kind::Lt => Comparator::Lt,
        lexer::Kind::Le => Comparator::Le,
        lexer::Kind::Gt => Comparator::Gt,
        lexer::Kind::Ge => Comparator::Ge,
        _ => return None,
    })
}
