//! What stands for `#name` and `:value` in the expressions of one request, and which of it was used.

use crate::constant::Constant;
use crate::error::ParseError;

/// ExpressionAttributeNames and ExpressionAttributeValues of one request. Parsing marks what was used.
#[derive(Clone, Debug, Default)]
pub struct Placeholders {
    names: Table<String>,
    values: Table<Constant>,
}

impl Placeholders {
    /// Keys with their `#` or `:`; values in their stored form. The shape of the keys is the caller's to check.
    pub fn new(names: Vec<(String, String)>, values: Vec<(String, Vec<u8>)>) -> Placeholders {
        let values = values.into_iter().map(|(key, stored)| (key, Constant::from(stored)));
        Placeholders { names: Table::new(names.into_iter()), values: Table::new(values) }
    }

    /// Keys that no expression parsed so far refers to, in order.
    pub fn unused_names(&self) -> Vec<&str> {
        self.names.unused()
    }

    /// Keys that no expression parsed so far refers to, in order.
    pub fn unused_values(&self) -> Vec<&str> {
        self.values.unused()
    }

    pub(crate) fn name(&mut self, key: &str) -> Result<String, ParseError> {
        self.names.get(key).cloned().ok_or_else(|| ParseError::UndefinedName(key.to_owned()))
    }

    pub(crate) fn value(&mut self, key: &str) -> Result<Constant, ParseError> {
        self.values.get(key).cloned().ok_or_else(|| ParseError::UndefinedValue(key.to_owned()))
    }
}

/// Sorted by key: a request may bring tens of thousands.
#[derive(Clone, Debug)]
struct Table<V>(Vec<Entry<V>>);

#[derive(Clone, Debug)]
struct Entry<V> {
    key: String,
    value: V,
    used: bool,
}

impl<V> Default for Table<V> {
    fn default() -> Table<V> {
        Table(Vec::new())
    }
}

impl<V> Table<V> {
    fn new(entries: impl Iterator<Item = (String, V)>) -> Table<V> {
        let mut entries: Vec<_> = entries.map(|(key, value)| Entry { key, value, used: false }).collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        Table(entries)
    }

    fn get(&mut self, key: &str) -> Option<&V> {
        let at = self.0.binary_search_by(|entry| entry.key.as_str().cmp(key)).ok()?;
        let entry = &mut self.0[at];
        entry.used = true;
        Some(&entry.value)
    }

    fn unused(&self) -> Vec<&str> {
        self.0.iter().filter(|entry| !entry.used).map(|entry| entry.key.as_str()).collect()
    }
}
