//! What can be wrong with a statement before its table is known, in DynamoDB's words.

use std::fmt;

use tradewind_model::NumberError;

use crate::error::ParseError;

/// Where a token stands: line and column from 1, and its length, all in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    pub length: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.line, self.column, self.length)
    }
}

/// Displayed, the whole message of the ValidationException.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StatementError {
    #[error("Statement wasn't well formed, can't be processed: {0}")]
    Malformed(String),
    #[error("Unsupported operation: {0}")]
    UnsupportedOperation(&'static str),
    #[error("Number of parameters in request and statement don't match.")]
    ParameterCount,
    #[error("Unsupported clause: {0}")]
    UnsupportedClause(&'static str),
    #[error("Unsupported clause: {0} at {1}")]
    UnsupportedLimit(&'static str, Place),
    #[error("Unsupported token in expression: {0}")]
    UnsupportedToken(&'static str),
    #[error("Select projection doesn't support value or pivot keywords")]
    ProjectedValue,
    #[error("Unexpected path component at {0}")]
    PathComponent(Place),
    #[error("Path component cannot be an empty string")]
    EmptyName,
    #[error("Changing item's hierarchy while reading isn't supported")]
    Unnesting,
    #[error("Aliasing is not supported")]
    Alias,
    #[error("Duplicate identifiers in select clause: {0}")]
    DuplicateColumn(String),
    #[error("Unexpected from source")]
    Source,
    #[error("Only select from a single table or index is supported.")]
    SeveralSources,
    #[error("A path may contain at most 2 components in the FROM clause")]
    LongSource,
    #[error("FROM clause may only contain a single table name in data manipulation statements")]
    IndexSource,
    #[error("Must have WHERE clause in the statement when using ORDER BY clause.")]
    OrderWithoutCondition,
    #[error("Argument to ORDER BY must be of type VariableReference. Type: PATH")]
    OrderByPath,
    #[error("The arguments to AND/OR must be Expressions")]
    NoCondition,
    #[error("Unsupported operator in {expression} Expression. Operator: {operator}")]
    Operator { expression: &'static str, operator: String },
    #[error("MISSING must be compared using IS operator")]
    MissingValue,
    #[error(
        "IN operator must have a left hand argument of type Variable Reference and right hand argument of type Seq \
         with at least one member"
    )]
    InOperands,
    #[error("Unrecognized function: {0}")]
    UnknownFunction(String),
    #[error("The first argument to {0} must equal the assignment value")]
    SetTarget(&'static str),
    #[error("The second argument to {0} must be a value with type SET")]
    SetOperand(&'static str),
    #[error(
        "Unsupported format in item expression. Please use struct format {{...}} to express item values for insert \
         statement. at {0}"
    )]
    ItemFormat(Place),
    #[error("Tuple keys must be of type String. Actual type: VariableReference under root at {0}")]
    TupleKey(Place),
    #[error("Duplicate keys in tuple. Key: {0} under root at {1}")]
    DuplicateKey(String, Place),
    #[error("Unsupported data type: {0} under key root at {1}")]
    DataType(String, Place),
    #[error("Empty bags are not supported at {0}")]
    EmptyBag(Place),
    #[error("Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags at {0}")]
    BagElement(Place),
    #[error("Input collection contains duplicates")]
    BagDuplicates,
    #[error("DynamoDB only supports precision up to 38 digits")]
    Precision,
    #[error("Nesting Levels have exceeded supported limits")]
    Nesting,
    #[error("RETURNING is not supported in INSERT")]
    ReturningInsert,
    #[error(
        "Invalid returning clause: RETURNING {0}. Only RETURNING ALL OLD * is allowed in DELETE statements."
    )]
    ReturningDelete(&'static str),
    #[error("Expected '*' after ( MODIFIED | ALL ) ( NEW | OLD ) in RETURNING clause")]
    ReturningStar,
    #[error("Invalid syntax with multiple returning elements in RETURNING clause")]
    SeveralReturning,
    #[error(transparent)]
    Expression(#[from] ParseError),
    #[error(transparent)]
    Number(#[from] NumberError),
}
