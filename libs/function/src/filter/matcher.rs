//! Whether one value satisfies one alternative of a pattern.

use std::net::IpAddr;

use serde_json::Value;

use super::wildcard::Wildcard;

#[derive(Clone, Debug)]
pub enum Matcher {
    Exactly(Value),
    Text(Text),
    AnythingBut(AnythingBut),
    Numeric(Range),
    Exists(bool),
    Cidr(Network),
}

/// Comparisons of strings; those that ignore case hold lower case.
#[derive(Clone, Debug)]
pub enum Text {
    Prefix(String),
    PrefixIgnoreCase(String),
    Suffix(String),
    SuffixIgnoreCase(String),
    EqualsIgnoreCase(String),
    Wildcard(Wildcard),
}

#[derive(Clone, Debug)]
pub enum AnythingBut {
    Values(Vec<Value>),
    Texts(Vec<Text>),
}

impl Matcher {
    pub fn matches(&self, value: &Value) -> bool {
        match self {
            Matcher::Exactly(expected) => value == expected,
            Matcher::Text(text) => value.as_str().is_some_and(|value| text.matches(value)),
            Matcher::AnythingBut(AnythingBut::Values(values)) => !values.contains(value),
            Matcher::AnythingBut(AnythingBut::Texts(texts)) => {
                value.as_str().is_some_and(|value| !texts.iter().any(|text| text.matches(value)))
            }
            Matcher::Numeric(range) => value.as_f64().is_some_and(|value| range.contains(value)),
            Matcher::Exists(expected) => *expected,
            Matcher::Cidr(network) => {
                let address = value.as_str().and_then(|value| value.parse().ok());
                address.is_some_and(|address| network.contains(address))
            }
        }
    }

    /// Whether a missing field satisfies it.
    pub fn matches_absent(&self) -> bool {
        matches!(self, Matcher::Exists(false))
    }
}

impl Text {
    fn matches(&self, value: &str) -> bool {
        match self {
            Text::Prefix(prefix) => value.starts_with(prefix),
            Text::PrefixIgnoreCase(prefix) => value.to_lowercase().starts_with(prefix),
            Text::Suffix(suffix) => value.ends_with(suffix),
            Text::SuffixIgnoreCase(suffix) => value.to_lowercase().ends_with(suffix),
            Text::EqualsIgnoreCase(text) => value.to_lowercase() == *text,
            Text::Wildcard(wildcard) => wildcard.matches(value),
        }
    }
}

/// Numbers between two bounds, each with or without the bound itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range {
    lower: Option<(f64, bool)>,
    upper: Option<(f64, bool)>,
}

impl Range {
    /// Adds a comparison; false if it is none, or that side has one already.
    pub fn narrow(&mut self, comparison: &str, number: f64) -> bool {
        let (lower, upper) = match comparison {
            "=" => (Some((number, true)), Some((number, true))),
            ">" => (Some((number, false)), None),
            ">=" => (Some((number, true)), None),
            "<" => (None, Some((number, false))),
            "<=" => (None, Some((number, true))),
            _ => return false,
        };
        let free = !(lower.is_some() && self.lower.is_some() || upper.is_some() && self.upper.is_some());
        self.lower = self.lower.or(lower);
        self.upper = self.upper.or(upper);
        free
    }

    pub fn is_empty(&self) -> bool {
        match (self.lower, self.upper) {
            (Some((lower, with_lower)), Some((upper, with_upper))) => {
                lower > upper || lower == upper && !(with_lower && with_upper)
            }
            _ => false,
        }
    }

    fn contains(&self, number: f64) -> bool {
        let above = self.lower.is_none_or(|(bound, with)| number > bound || with && number == bound);
        let below = self.upper.is_none_or(|(bound, with)| number < bound || with && number == bound);
        above && below
    }
}

/// An IP network.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    pub fn new(address: IpAddr, bits: u8) -> Option<Network> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Network { address, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        match (self.address, address) {
            (IpAddr::V4(mine), IpAddr::V4(other)) => {
                let differing = u32::from(mine) ^ u32::from(other);
                bits == 0 || differing >> (32 - bits) == 0
            }
            (IpAddr::V6(mine), IpAddr::V6(other)) => {
                let differing = u128::from(mine) ^ u128::from(other);
                bits == 0 || differing >> (128 - bits) == 0
            }
            _ => false,
        }
    }
}
