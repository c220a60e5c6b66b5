//! The grammar of updates.
//!
//! ```text
//! update     section+                each of the four kinds once, in any order
//! section    SET path '=' value (',' …)* | REMOVE path (',' …)*
//!            | ADD path :value (',' …)* | DELETE path :value (',' …)*
//! value      operand | operand '+' operand | operand '-' operand | '(' value ')'
//! operand    path | :value | function | '(' operand ')'
//! function   if_not_exists '(' path ',' operand ')' | list_append '(' operand ',' operand ')'
//! ```
//!
//! Arithmetic stands in no function, and `list_append` in neither functions nor arithmetic.

use tradewind_model::Type;

use crate::constant::Constant;
use crate::error::{Faults, Kind, ParseError};
use crate::lexer;
use crate::parser::Parser;
use crate::path;
use crate::placeholders::Placeholders;
use crate::update::{Action, Operand, Update, Value};

const CONDITION_FUNCTIONS: [&str; 6] =
    ["attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size"];

impl Update {
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Update, ParseError> {
        let mut parser = Parser::new(Kind::Update, text, placeholders)?;
        let mut actions = Vec::new();
        let mut seen = Vec::new();
        loop {
            section(&mut parser, &mut actions, &mut seen)?;
            if parser.peek() == lexer::Kind::End {
                break;
            }
        }
        let paths: Vec<_> = actions.iter().map(Action::path).collect();
        path::check_clashes(&paths, &mut parser.faults);
        parser.finish()?;
        Ok(Update { actions, legacy: false })
    }
}

type ParseAction = fn(&mut Parser<'_>) -> Result<Action, ParseError>;

fn section(
    parser: &mut Parser<'_>,
    actions: &mut Vec<Action>,
    seen: &mut Vec<&'static str>,
) -> Result<(), ParseError> {
    let (name, action): (_, ParseAction) = match parser.peek() {
        lexer::Kind::Set => ("SET", set),
        lexer::Kind::Remove => ("REMOVE", |parser| Ok(Action::Remove(parser.path()?))),
        lexer::Kind::Add => ("ADD", add),
        lexer::Kind::Delete => ("DELETE", delete),
        _ => return Err(parser.unexpected()),
    };
    if seen.contains(&name) {
        parser.faults.note(ParseError::RepeatedSection(name));
    }
    seen.push(name);
    parser.take();
    actions.push(action(parser)?);
    while parser.accept(lexer::Kind::Comma) {
        actions.push(action(parser)?);
    }
    Ok(())
}

fn set(parser: &mut Parser<'_>) -> Result<Action, ParseError> {
    let path = parser.path()?;
    parser.expect(lexer::Kind::Eq)?;
    Ok(Action::Set(path, value(parser)?))
}

fn add(parser: &mut Parser<'_>) -> Result<Action, ParseError> {
    let (path, constant) = (parser.path()?, parser.value()?);
    check_constant(&mut parser.faults, "ADD", &constant, &[Type::N, Type::Ss, Type::Ns, Type::Bs]);
    Ok(Action::Add(path, constant))
}

fn delete(parser: &mut Parser<'_>) -> Result<Action, ParseError> {
    let (path, constant) = (parser.path()?, parser.value()?);
    check_constant(&mut parser.faults, "DELETE", &constant, &[Type::Ss, Type::Ns, Type::Bs]);
    Ok(Action::Delete(path, constant))
}

fn check_constant(faults: &mut Faults, section: &'static str, constant: &Constant, allowed: &[Type]) {
    let found = constant.value().kind();
    if !allowed.contains(&found) {
        faults.note(ParseError::SectionOperandType { section, found: long_name(found) });
    }
}

/// Only the messages of ADD and DELETE have types by these names.
fn long_name(kind: Type) -> &'static str {
    match kind {
        Type::S => "STRING",
        Type::N => "NUMBER",
        Type::B => "BINARY",
        Type::Null => "NULL",
        Type::Bool => "BOOLEAN",
        Type::Ss => "STRING_SET",
        Type::Ns => "NUMBER_SET",
        Type::Bs => "BINARY_SET",
        Type::L => "LIST",
        Type::M => "MAP",
    }
}

fn value(parser: &mut Parser<'_>) -> Result<Value, ParseError> {
    let left = if parser.peek() == lexer::Kind::Open {
        let opened = parser.open()?;
        let inner = value(parser)?;
        parser.close(opened)?;
        match inner {
            Value::Of(operand) => operand,
            // Arithmetic has exactly one operator: one that follows is a syntax error.
            arithmetic => return Ok(arithmetic),
        }
    } else {
        bare(parser)?
    };
    let (operator, join): (_, fn(Operand, Operand) -> Value) = match parser.peek() {
        lexer::Kind::Plus => ("+", Value::Sum),
        lexer::Kind::Minus => ("-", Value::Difference),
        _ => return Ok(Value::Of(left)),
    };
    parser.take();
    parser.operator();
    let right = operand(parser)?;
    for operand in [&left, &right] {
        no_list_append(&mut parser.faults, operand);
        check_type(&mut parser.faults, operator, operand, Type::N);
    }
    Ok(join(left, right))
}

fn operand(parser: &mut Parser<'_>) -> Result<Operand, ParseError> {
    if parser.peek() != lexer::Kind::Open {
        return bare(parser);
    }
    let opened = parser.open()?;
    let inner = operand(parser)?;
    parser.close(opened)?;
    Ok(inner)
}

/// A path, value or function.
fn bare(parser: &mut Parser<'_>) -> Result<Operand, ParseError> {
    match parser.peek() {
        lexer::Kind::ValueRef => Ok(Operand::Value(parser.value()?)),
        _ if parser.at_call() => {
            let name = parser.take();
            parser.operator();
            let arguments = parser.arguments(operand)?;
            Ok(call(name, arguments, &mut parser.faults).unwrap_or_else(|error| {
                parser.faults.note(error);
                Operand::Path(path::Path::top(""))
            }))
        }
        _ => Ok(Operand::Path(parser.path()?)),
    }
}

fn call(name: &str, arguments: Vec<Operand>, faults: &mut Faults) -> Result<Operand, ParseError> {
    match name {
        "if_not_exists" => if_not_exists(arguments, faults),
        "list_append" => list_append(arguments, faults),
        _ if CONDITION_FUNCTIONS.contains(&name) => Err(ParseError::NotInUpdate(name.to_owned())),
        _ => Err(ParseError::UnknownFunction(name.to_owned())),
    }
}

fn if_not_exists(arguments: Vec<Operand>, faults: &mut Faults) -> Result<Operand, ParseError> {
    let [tested, otherwise] = two("if_not_exists", arguments)?;
    no_list_append(faults, &otherwise);
    let Operand::Path(path) = tested else {
        no_list_append(faults, &tested);
        return Err(ParseError::PathRequired("if_not_exists"));
    };
    if matches!(&otherwise, Operand::Path(other) if *other == path) {
        return Err(ParseError::SameOperand { operator: "if_not_exists", operand: path.to_string() });
    }
    Ok(Operand::IfNotExists(path, Box::new(otherwise)))
}

fn list_append(arguments: Vec<Operand>, faults: &mut Faults) -> Result<Operand, ParseError> {
    let [first, second] = two("list_append", arguments)?;
    for operand in [&first, &second] {
        no_list_append(faults, operand);
        check_type(faults, "list_append", operand, Type::L);
    }
    Ok(Operand::ListAppend(Box::new(first), Box::new(second)))
}

fn two(function: &str, arguments: Vec<Operand>) -> Result<[Operand; 2], ParseError> {
    let function = function.to_owned();
    arguments.try_into().map_err(|given: Vec<_>| ParseError::OperandCount { function, count: given.len() })
}

fn no_list_append(faults: &mut Faults, operand: &Operand) {
    if matches!(operand, Operand::ListAppend(..)) {
        faults.note(ParseError::MisusedFunction("list_append".to_owned()));
    }
}

fn check_type(faults: &mut Faults, operator: &'static str, operand: &Operand, wanted: Type) {
    if let Operand::Value(constant) = operand
        && constant.value().kind() != wanted
    {
        faults.note(ParseError::OperandType { operator, found: constant.value().kind().name() });
    }
}
