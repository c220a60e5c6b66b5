//! Values that stand in an expression: shared, so that a large one given as a placeholder is never copied.

use std::sync::Arc;

use tradewind_model::ValueRef;

/// The stored form of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant(Arc<Vec<u8>>);

impl Constant {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn value(&self) -> ValueRef<'_> {
        ValueRef::new(&self.0)
    }
}

impl From<Vec<u8>> for Constant {
    /// `stored` is one value's stored form.
    fn from(stored: Vec<u8>) -> Constant {
        Constant(Arc::new(stored))
    }
}

impl serde::Serialize for Constant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Constant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Constant, D::Error> {
        let stored = tradewind_model::serial::bytes(deserializer)?;
        let checked = ValueRef::checked(&stored).is_some();
        checked.then(|| Constant::from(stored)).ok_or_else(|| serde::de::Error::custom("no value"))
    }
}
