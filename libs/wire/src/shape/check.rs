//! The constraints of the service model, all of them checked and told together: "N validation errors detected: …".

use std::fmt::{self, Display, Formatter};

use crate::error::ApiError;
use crate::request::item::TableRef;
use crate::shape::node::{Members, Node};
use crate::shape::read::constraints;
use crate::shape::show::{LowerFirst, Show};
use crate::shape::{Constraint, Need, Shape};

/// No more complaints than this are told.
const MAX_COMPLAINTS: usize = 10;
const TABLE_NAME_LENGTH: std::ops::RangeInclusive<usize> = 3..=255;

/// Checks a whole request.
pub(crate) fn check(request: &Members<'_>) -> Result<(), ApiError> {
    check_table_name(request)?;
    let mut complaints = Vec::new();
    check_members(request, None, &mut complaints);
    if complaints.is_empty() {
        return Ok(());
    }
    let plural = if complaints.len() > 1 { "s" } else { "" };
    let all = complaints.join("; ");
    Err(ApiError::validation(format!("{} validation error{plural} detected: {all}", complaints.len())))
}

/// The operations on tables check their TableName by themselves, and first.
fn check_table_name(request: &Members<'_>) -> Result<(), ApiError> {
    for (place, member) in request.structure.members.iter().enumerate() {
        if member.need != Need::TableName {
            continue;
        }
        let Some(Node::Text(name)) = request.at(place) else {
            return Err(ApiError::validation(format!(
                "The parameter '{}' is required but was not present in the request",
                member.name
            )));
        };
        if !TABLE_NAME_LENGTH.contains(&name.chars().count()) && TableRef::from_arn(name).is_none() {
            return Err(ApiError::validation(format!(
                "{} must be at least 3 characters long and at most 255 characters long",
                member.name
            )));
        }
    }
    Ok(())
}

/// Where a value is; spelled out only in a complaint.
#[derive(Clone, Copy)]
struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Member(&'p str),
    Element(usize),
    Entry(&'p str),
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        match self.step {
            Step::Member(name) => write!(f, "{}", LowerFirst(name)),
            Step::Element(at) => write!(f, "{}.member", at + 1),
            Step::Entry(name) => write!(f, "{name}.member"),
        }
    }
}

fn check_members(members: &Members<'_>, parent: Option<&Path<'_>>, complaints: &mut Vec<String>) {
    for (place, member) in members.structure.members.iter().enumerate() {
        let path = Path { parent, step: Step::Member(member.name) };
        match members.at(place) {
            Some(node) => check_node(node, &member.shape, &path, complaints),
            None if member.need == Need::NotNull => {
                complain(None, &path, "Member must not be null", complaints)
            }
            None => {}
        }
    }
}

fn check_node(node: &Node<'_>, shape: &Shape, path: &Path<'_>, complaints: &mut Vec<String>) {
    if matches!(node, Node::Null) {
        // A map's entries may be null as far as the framework goes.
        return match path.step {
            Step::Entry(_) => {}
            _ => complain(None, path, "Member must not be null", complaints),
        };
    }
    let mut constraints = constraints(shape);
    if let ([Constraint::OrArn, rest @ ..], Node::Text(text)) = (constraints, node) {
        constraints = if TableRef::from_arn(text).is_some() { &[] } else { rest };
    }
    for constraint in constraints {
        if !holds(node, constraint) {
            complain(Some(node), path, &demand(constraint), complaints);
        }
    }
    match (node, shape) {
        (Node::List(nodes), Shape::List(element, _)) => {
            for (at, node) in nodes.iter().enumerate() {
                check_node(node, element, &Path { parent: Some(path), step: Step::Element(at) }, complaints);
            }
        }
        (Node::Map(entries), Shape::Map(value, _)) => {
            for (name, node) in entries {
                check_node(node, value, &Path { parent: Some(path), step: Step::Entry(name) }, complaints);
            }
        }
        (Node::Struct(members), _) => check_members(members, Some(path), complaints),
        _ => {}
    }
}

fn complain(node: Option<&Node<'_>>, path: &Path<'_>, demand: &str, complaints: &mut Vec<String>) {
    if complaints.len() == MAX_COMPLAINTS {
        return;
    }
    complaints.push(match node {
        Some(node) => {
            format!("Value '{}' at '{path}' failed to satisfy constraint: {demand}", Show(node))
        }
        None => format!("Value null at '{path}' failed to satisfy constraint: {demand}"),
    });
}

fn holds(node: &Node<'_>, constraint: &Constraint) -> bool {
    match (constraint, node) {
        (Constraint::MinLength(least), _) => length(node) >= *least,
        (Constraint::MaxLength(most), _) => length(node) <= *most,
        (Constraint::Min(least), Node::Int(value)) => value >= least,
        (Constraint::Max(most), Node::Int(value)) => value <= most,
        (Constraint::Name, Node::Text(text)) => is_name(text),
        (Constraint::OneOf(known), Node::Text(text)) => known.contains(&text.as_ref()),
        (Constraint::Keys(constraints), Node::Map(entries)) => {
            entries.iter().all(|(name, _)| key_holds(name, constraints))
        }
        (Constraint::Values(constraints), Node::Map(entries)) => {
            entries.iter().all(|(_, node)| constraints.iter().all(|constraint| holds(node, constraint)))
        }
        _ => true,
    }
}

fn key_holds(name: &str, constraints: &[Constraint]) -> bool {
    if matches!(constraints.first(), Some(Constraint::OrArn)) && TableRef::from_arn(name).is_some() {
        return true;
    }
    constraints.iter().all(|constraint| match constraint {
        Constraint::MinLength(least) => name.chars().count() >= *least,
        Constraint::MaxLength(most) => name.chars().count() <= *most,
        Constraint::Name => is_name(name),
        _ => true,
    })
}

fn length(node: &Node<'_>) -> usize {
    match node {
        Node::Text(text) => text.chars().count(),
        Node::List(nodes) => nodes.len(),
        Node::Map(entries) => entries.len(),
        _ => 0,
    }
}

/// `[a-zA-Z0-9_.-]+`
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn demand(constraint: &Constraint) -> String {
    match constraint {
        Constraint::MinLength(least) => format!("Member must have length greater than or equal to {least}"),
        Constraint::MaxLength(most) => format!("Member must have length less than or equal to {most}"),
        Constraint::Min(least) => format!("Member must have value greater than or equal to {least}"),
        Constraint::Max(most) => format!("Member must have value less than or equal to {most}"),
        Constraint::Name => "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+".into(),
        Constraint::OneOf(known) => format!("Member must satisfy enum value set: [{}]", known.join(", ")),
        Constraint::Keys(constraints) => {
            format!("Map keys must satisfy constraint: [{}]", demands(constraints))
        }
        Constraint::Values(constraints) => {
            format!("Map value must satisfy constraint: [{}]", demands(constraints))
        }
        Constraint::OrArn => String::new(),
    }
}

fn demands(constraints: &[Constraint]) -> String {
    let each = constraints.iter().filter(|constraint| !matches!(constraint, Constraint::OrArn));
    each.map(demand).collect::<Vec<_>>().join(", ")
}
