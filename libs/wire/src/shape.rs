//! The shapes of requests: which members there are, of which type, under which constraints.
//!
//! A request is read by its shape in one pass ([`read`]) into nodes ([`node`]), whose attribute values are in their
//! stored form already; then its constraints are checked ([`check`]). Both speak as the API's framework does: the order
//! of members in a shape is the order of its complaints. (Sources: the service model; answers of the service.)

pub(crate) mod check;
pub(crate) mod node;
pub(crate) mod read;
pub(crate) mod show;

const PACKAGE: &str = "com.amazonaws.dynamodb.v20120810.";

#[derive(Debug)]
pub(crate) enum Shape {
    Text(&'static [Constraint]),
    Boolean,
    Integer(&'static [Constraint]),
    Long(&'static [Constraint]),
    /// Epoch seconds.
    Timestamp,
    List(&'static Shape, &'static [Constraint]),
    Map(&'static Shape, &'static [Constraint]),
    Struct(&'static Structure),
    /// One attribute value.
    Value,
    /// A map of attribute values that is kept as one stored item.
    Attributes,
}

#[derive(Debug)]
pub(crate) struct Structure {
    pub name: &'static str,
    pub members: &'static [Member],
}

#[derive(Debug)]
pub(crate) struct Member {
    pub name: &'static str,
    pub shape: Shape,
    pub need: Need,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    Optional,
    NotNull,
    /// A table's name in the operations on tables, which check it before anything else.
    TableName,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Constraint {
    MinLength(usize),
    MaxLength(usize),
    Min(i64),
    Max(i64),
    /// `[a-zA-Z0-9_.-]+`
    Name,
    /// As the first of several: a table's ARN is exempt from the others.
    OrArn,
    OneOf(&'static [&'static str]),
    Keys(&'static [Constraint]),
    Values(&'static [Constraint]),
}

impl Shape {
    /// The Java type the framework names in its complaints.
    fn java(&self) -> String {
        match self {
            Shape::Text(_) => "java.lang.String".into(),
            Shape::Boolean => "java.lang.Boolean".into(),
            Shape::Integer(_) => "java.lang.Integer".into(),
            Shape::Long(_) => "java.lang.Long".into(),
            Shape::Timestamp => "java.util.Date".into(),
            Shape::List(element, _) => format!("java.util.List<{}>", element.java()),
            Shape::Map(value, _) => format!("java.util.Map<java.lang.String, {}>", value.java()),
            Shape::Struct(structure) => format!("{PACKAGE}{}", structure.name),
            Shape::Value => format!("{PACKAGE}AttributeValue"),
            Shape::Attributes => format!("java.util.Map<java.lang.String, {PACKAGE}AttributeValue>"),
        }
    }
}

pub(crate) const fn optional(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, need: Need::Optional }
}

pub(crate) const fn required(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, need: Need::NotNull }
}

/// A table's name or ARN, in operations on tables.
pub(crate) const fn table_name() -> Member {
    Member {
        name: "TableName",
        shape: Shape::Text(&[Constraint::OrArn, Constraint::Name]),
        need: Need::TableName,
    }
}

/// A table's name or ARN, in operations on items.
pub(crate) const TABLE: Shape =
    Shape::Text(&[Constraint::OrArn, Constraint::Name, Constraint::MinLength(3), Constraint::MaxLength(255)]);

/// The name of an index.
pub(crate) const NAME: Shape =
    Shape::Text(&[Constraint::Name, Constraint::MinLength(3), Constraint::MaxLength(255)]);

pub(crate) const TEXT: Shape = Shape::Text(&[]);
