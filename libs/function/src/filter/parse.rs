//! From a pattern's JSON to what is matched; everything that the language does not have is refused.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::matcher::{AnythingBut, Matcher, Network, Range, Text};
use super::wildcard::Wildcard;
use super::{BadPattern, Fields, Node};

/// `numeric` works within ±5.0e9 in EventBridge.
const MAX_NUMBER: f64 = 5.0e9;
/// Patterns come from outside and are walked recursively.
const MAX_DEPTH: usize = 50;

fn bad<T>(reason: impl Into<String>) -> Result<T, BadPattern> {
    Err(BadPattern(reason.into()))
}

pub fn pattern(text: &str) -> Result<Fields, BadPattern> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => fields(&object, 0),
        Ok(_) => bad("pattern must be an object"),
        Err(error) => bad(format!("not JSON: {error}")),
    }
}

fn fields(object: &Map<String, Value>, depth: usize) -> Result<Fields, BadPattern> {
    if depth > MAX_DEPTH {
        return bad("nested too deeply");
    }
    let mut parsed = Fields::default();
    for (name, value) in object {
        match alternatives(name, value) {
            Some(objects) => {
                let either = objects.iter().map(|object| fields(object, depth + 1));
                parsed.any.push(either.collect::<Result<_, _>>()?);
            }
            None => parsed.all.push((name.clone(), node(name, value, depth)?)),
        }
    }
    Ok(parsed)
}

/// `$or` with at least two objects; anything else of that name is a field.
fn alternatives<'a>(name: &str, value: &'a Value) -> Option<Vec<&'a Map<String, Value>>> {
    let objects: Vec<_> = value.as_array()?.iter().map(Value::as_object).collect::<Option<_>>()?;
    let usable = objects.len() >= 2 && objects.iter().all(|object| !object.is_empty());
    (name == "$or" && usable).then_some(objects)
}

fn node(name: &str, value: &Value, depth: usize) -> Result<Node, BadPattern> {
    match value {
        Value::Object(object) if object.is_empty() => bad(format!("field {name:?} has an empty object")),
        Value::Object(object) => Ok(Node::Fields(fields(object, depth + 1)?)),
        Value::Array(elements) if elements.is_empty() => bad(format!("field {name:?} has an empty array")),
        Value::Array(elements) => Ok(Node::Leaf(elements.iter().map(matcher).collect::<Result<_, _>>()?)),
        _ => bad(format!("field {name:?} must be an object or an array")),
    }
}

fn matcher(value: &Value) -> Result<Matcher, BadPattern> {
    match value {
        Value::Object(object) => operator(object),
        Value::Array(_) => bad("an array within an array"),
        scalar => Ok(Matcher::Exactly(scalar.clone())),
    }
}

fn operator(object: &Map<String, Value>) -> Result<Matcher, BadPattern> {
    let mut entries = object.iter();
    let (Some((name, operand)), None) = (entries.next(), entries.next()) else {
        return bad("a comparison has exactly one operator");
    };
    Ok(match name.as_str() {
        "prefix" | "suffix" | "equals-ignore-case" | "wildcard" => Matcher::Text(text(name, operand)?),
        "anything-but" => Matcher::AnythingBut(anything_but(operand)?),
        "numeric" => Matcher::Numeric(numeric(operand)?),
        "exists" => match operand {
            Value::Bool(expected) => Matcher::Exists(*expected),
            _ => return bad("exists takes true or false"),
        },
        "cidr" => Matcher::Cidr(cidr(operand)?),
        other => return bad(format!("unrecognized operator {other:?}")),
    })
}

fn text(name: &str, operand: &Value) -> Result<Text, BadPattern> {
    match (name, operand) {
        ("prefix", Value::String(prefix)) => Ok(Text::Prefix(prefix.clone())),
        ("suffix", Value::String(suffix)) => Ok(Text::Suffix(suffix.clone())),
        ("prefix", Value::Object(_)) => Ok(Text::PrefixIgnoreCase(ignoring_case(operand)?)),
        ("suffix", Value::Object(_)) => Ok(Text::SuffixIgnoreCase(ignoring_case(operand)?)),
        ("equals-ignore-case", Value::String(text)) => Ok(Text::EqualsIgnoreCase(text.to_lowercase())),
        ("wildcard", Value::String(pattern)) => match Wildcard::parse(pattern) {
            Some(wildcard) => Ok(Text::Wildcard(wildcard)),
            None => bad("bad wildcard: only single `*` and the escapes `\\*` and `\\\\`"),
        },
        _ => bad(format!("{name} takes a string")),
    }
}

/// `{"equals-ignore-case": "…"}` inside `prefix` or `suffix`.
fn ignoring_case(operand: &Value) -> Result<String, BadPattern> {
    match operand.as_object().map(|object| (object.len(), object.get("equals-ignore-case"))) {
        Some((1, Some(Value::String(text)))) => Ok(text.to_lowercase()),
        _ => bad("prefix and suffix take a string or equals-ignore-case"),
    }
}

fn anything_but(operand: &Value) -> Result<AnythingBut, BadPattern> {
    if let Value::Object(object) = operand {
        let mut entries = object.iter();
        let (Some((name, inner)), None) = (entries.next(), entries.next()) else {
            return bad("anything-but has exactly one operator");
        };
        if !matches!(name.as_str(), "prefix" | "suffix" | "equals-ignore-case" | "wildcard") {
            return bad(format!("anything-but does not take {name:?}"));
        }
        let texts = one_or_more(inner)?.into_iter().map(|inner| text(name, inner));
        return Ok(AnythingBut::Texts(texts.collect::<Result<_, _>>()?));
    }
    let values = one_or_more(operand)?;
    if !values.iter().all(|value| value.is_string() || value.is_number()) {
        return bad("anything-but takes strings, numbers or an operator");
    }
    Ok(AnythingBut::Values(values.into_iter().cloned().collect()))
}

fn one_or_more(operand: &Value) -> Result<Vec<&Value>, BadPattern> {
    match operand {
        Value::Array(values) if values.is_empty() => bad("empty arrays match nothing"),
        Value::Array(values) => Ok(values.iter().collect()),
        value => Ok(vec![value]),
    }
}

fn numeric(operand: &Value) -> Result<Range, BadPattern> {
    let Some(terms) = operand.as_array() else { return bad("numeric takes an array") };
    if !matches!(terms.len(), 2 | 4) {
        return bad("numeric takes one or two comparisons");
    }
    let mut range = Range::default();
    for term in terms.chunks(2) {
        let number = term[1].as_f64().filter(|number| number.abs() <= MAX_NUMBER);
        let (Some(comparison), Some(number)) = (term[0].as_str(), number) else {
            return bad("numeric takes comparisons with numbers from -5.0e9 to 5.0e9");
        };
        if comparison == "=" && terms.len() == 4 {
            return bad("numeric has only one comparison with =");
        }
        if !range.narrow(comparison, number) {
            return bad(format!("numeric does not take {comparison:?} here"));
        }
    }
    if range.is_empty() {
        return bad("numeric range is empty");
    }
    Ok(range)
}

fn cidr(operand: &Value) -> Result<Network, BadPattern> {
    let parsed = operand.as_str().and_then(|text| {
        let (address, bits) = text.split_once('/')?;
        Network::new(address.parse::<IpAddr>().ok()?, bits.parse().ok()?)
    });
    parsed.map_or_else(|| bad("cidr takes an address and a number of bits"), Ok)
}
