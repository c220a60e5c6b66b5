//! Filter criteria: EventBridge's pattern language over the records that a function would get.
//!
//! A pattern is an object like the record: nested objects lead to arrays of alternatives, of which one must match the
//! field's value (or one of its values, if it is an array). All fields of a pattern must match; `$or` takes any of
//! several. Several filters of a mapping are alternatives too. See "Comparison operators for use in event patterns" in
//! the EventBridge user guide.

use serde_json::Value;

mod matcher;
mod parse;
mod wildcard;

use matcher::Matcher;

/// Why a pattern is not one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("invalid filter pattern: {0}")]
pub struct BadPattern(pub(crate) String);

/// One parsed pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    root: Fields,
}

/// What an object must satisfy.
#[derive(Clone, Debug, Default)]
struct Fields {
    all: Vec<(String, Node)>,
    /// Of each inner list at least one.
    any: Vec<Vec<Fields>>,
}

#[derive(Clone, Debug)]
enum Node {
    Fields(Fields),
    Leaf(Vec<Matcher>),
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, BadPattern> {
        Ok(Pattern { root: parse::pattern(text)? })
    }

    pub fn matches(&self, record: &Value) -> bool {
        self.root.matches(Some(record))
    }
}

/// The filters of a mapping: a record passes if any matches, or if there are none.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    patterns: Vec<Pattern>,
}

impl Filters {
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Filters, BadPattern> {
        let patterns = texts.into_iter().map(Pattern::parse).collect::<Result<_, _>>()?;
        Ok(Filters { patterns })
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// `record` is the JSON of one record as the function would get it.
    pub fn pass(&self, record: &[u8]) -> bool {
        if self.patterns.is_empty() {
            return true;
        }
        let Ok(record) = serde_json::from_slice::<Value>(record) else { return false };
        self.patterns.iter().any(|pattern| pattern.matches(&record))
    }
}

impl Fields {
    /// `None`: there is no such object, which only patterns of absent fields match.
    fn matches(&self, value: Option<&Value>) -> bool {
        match value {
            // Of an array of objects one must match as a whole, not one field here and one there.
            Some(Value::Array(elements)) if !elements.is_empty() => {
                elements.iter().any(|element| self.matches(Some(element)))
            }
            Some(Value::Object(_)) => self.matches_object(value),
            _ => self.matches_object(None),
        }
    }

    fn matches_object(&self, object: Option<&Value>) -> bool {
        let field = |name: &String| object.and_then(|object| object.get(name));
        self.all.iter().all(|(name, node)| node.matches(field(name)))
            && self.any.iter().all(|either| either.iter().any(|fields| fields.matches_object(object)))
    }
}

impl Node {
    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            Node::Fields(fields) => fields.matches(value),
            Node::Leaf(matchers) => matchers.iter().any(|matcher| matches_leaf(matcher, value)),
        }
    }
}

fn matches_leaf(matcher: &Matcher, value: Option<&Value>) -> bool {
    match value {
        Some(Value::Array(elements)) if !elements.is_empty() => {
            elements.iter().any(|element| matches_leaf(matcher, Some(element)))
        }
        // Only leaves exist in the sense of the language.
        None | Some(Value::Array(_) | Value::Object(_)) => matcher.matches_absent(),
        Some(scalar) => matcher.matches(scalar),
    }
}

#[cfg(test)]
mod tests;
