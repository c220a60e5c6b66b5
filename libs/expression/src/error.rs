//! What can be wrong with an expression, in DynamoDB's words, and which of several errors is told.

/// Which parameter of a request an expression is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Condition,
    Filter,
    Update,
    Projection,
    KeyCondition,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Condition => "ConditionExpression",
            Kind::Filter => "FilterExpression",
            Kind::Update => "UpdateExpression",
            Kind::Projection => "ProjectionExpression",
            Kind::KeyCondition => "KeyConditionExpression",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text is no valid expression. Displayed without the expression's kind: see [`ParseError::message`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("The expression can not be empty;")]
    Empty,
    #[error("Expression size has exceeded the maximum allowed size; expression size: {0}")]
    TooLong(usize),
    #[error("Syntax error; token: \"{token}\", near: \"{near}\"")]
    Syntax { token: String, near: String },
    #[error("The expression has redundant parentheses;")]
    RedundantParentheses,
    #[error("The expression contains too many operators; operator count: {0}")]
    TooManyOperators(usize),
    #[error("Invalid function name; function: {0}")]
    UnknownFunction(String),
    #[error("The function is not allowed in a condition expression; function: {0}")]
    NotInCondition(String),
    #[error("The function is not allowed in an update expression; function: {0}")]
    NotInUpdate(String),
    #[error("The function is not allowed to be used this way in an expression; function: {0}")]
    MisusedFunction(String),
    #[error("Attribute name is a reserved keyword; reserved keyword: {0}")]
    Reserved(String),
    #[error("List index is not within the allowable range; index: [{0}]")]
    IndexRange(String),
    #[error("The document path has too many nesting levels; nesting levels: {0}")]
    TooManyLevels(usize),
    #[error("The \"{0}\" section can only be used once in an update expression;")]
    RepeatedSection(&'static str),
    #[error("An expression attribute name used in the document path is not defined; attribute name: {0}")]
    UndefinedName(String),
    #[error("An expression attribute value used in expression is not defined; attribute value: {0}")]
    UndefinedValue(String),
    #[error(
        "Two document paths overlap with each other; must remove or rewrite one of these paths; \
         path one: {0}, path two: {1}"
    )]
    Overlap(String, String),
    #[error(
        "Two document paths conflict with each other; must remove or rewrite one of these paths; \
         path one: {0}, path two: {1}"
    )]
    Conflict(String, String),
    #[error(
        "Incorrect number of operands for operator or function; operator or function: {function}, \
         number of operands: {count}"
    )]
    OperandCount { function: String, count: usize },
    #[error(
        "Incorrect operand type for operator or function; operator or function: {operator}, operand type: {found}"
    )]
    OperandType { operator: &'static str, found: &'static str },
    #[error(
        "Incorrect operand type for operator or function; operator: {section}, operand type: {found}, \
         typeSet: ALLOWED_FOR_{section}_OPERAND"
    )]
    SectionOperandType { section: &'static str, found: &'static str },
    #[error("Operator or function requires a document path; operator or function: {0}")]
    PathRequired(&'static str),
    #[error(
        "The first operand must be distinct from the remaining operands for this operator or function; \
         operator: {operator}, first operand: {operand}"
    )]
    SameOperand { operator: &'static str, operand: String },
    #[error("Invalid attribute type name found; type: {0}, valid types: {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}")]
    UnknownType(String),
    #[error("The IN operator is provided with too many operands; number of operands: {0}")]
    TooManyInOperands(usize),
    #[error(
        "The BETWEEN operator requires same data type for lower and upper bounds; \
         lower bound operand: {0}, upper bound operand: {1}"
    )]
    BoundTypes(String, String),
    #[error(
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; \
         lower bound operand: {0}, upper bound operand: {1}"
    )]
    BoundOrder(String, String),
    #[error("Invalid operator used in KeyConditionExpression: {0}")]
    KeyOperator(&'static str),
    #[error("KeyConditionExpressions must only contain one condition per key")]
    RepeatedKey,
    #[error("KeyConditionExpressions cannot have conditions on nested attributes")]
    NestedKey,
    #[error("KeyConditionExpressions cannot contain nested operations")]
    NestedKeyOperation,
    #[error("Invalid condition in KeyConditionExpression: {0}")]
    KeyOperands(String),
}

impl ParseError {
    /// The whole message of the ValidationException.
    pub fn message(&self, kind: Kind) -> String {
        match self {
            ParseError::KeyOperator(_)
            | ParseError::RepeatedKey
            | ParseError::NestedKey
            | ParseError::NestedKeyOperation
            | ParseError::KeyOperands(_) => self.to_string(),
            _ => format!("Invalid {kind}: {self}"),
        }
    }
}

/// The error to tell among those of an expression whose syntax is right.
///
/// DynamoDB checks in passes, so that an early pass's error hides a later one's wherever it stands in the text; of
/// one pass the first is told. Syntax errors end the parsing where they are and hide all of these.
#[derive(Debug)]
pub(crate) struct Faults {
    update: bool,
    worst: Option<(u8, ParseError)>,
}

impl Faults {
    pub fn new(kind: Kind) -> Faults {
        Faults { update: kind == Kind::Update, worst: None }
    }

    pub fn note(&mut self, error: ParseError) {
        let pass = if self.update { update_pass(&error) } else { condition_pass(&error) };
        if self.worst.as_ref().is_none_or(|(earliest, _)| pass < *earliest) {
            self.worst = Some((pass, error));
        }
    }

    pub fn result(self) -> Result<(), ParseError> {
        self.worst.map_or(Ok(()), |(_, error)| Err(error))
    }
}

fn update_pass(error: &ParseError) -> u8 {
    use ParseError as E;
    match error {
        E::RedundantParentheses | E::TooManyOperators(_) => 0,
        E::Reserved(_) | E::IndexRange(_) => 1,
        E::UnknownFunction(_) | E::NotInUpdate(_) => 2,
        E::RepeatedSection(_) => 3,
        E::UndefinedName(_) | E::TooManyLevels(_) => 4,
        E::UndefinedValue(_) => 5,
        E::Overlap(..) => 6,
        E::Conflict(..) => 7,
        E::MisusedFunction(_) => 9,
        _ => 8,
    }
}

/// Also of projections, which can only have a part of these.
fn condition_pass(error: &ParseError) -> u8 {
    use ParseError as E;
    match error {
        E::RedundantParentheses | E::TooManyOperators(_) => 0,
        E::UnknownFunction(_) | E::NotInCondition(_) => 1,
        E::MisusedFunction(_) => 2,
        E::Reserved(_) | E::IndexRange(_) => 3,
        E::UndefinedName(_) | E::UndefinedValue(_) | E::TooManyLevels(_) => 4,
        E::Overlap(..) => 5,
        E::Conflict(..) => 6,
        E::SameOperand { .. } => 8,
        _ => 7,
    }
}

/// Why an update cannot be applied to an item: the whole message of the ValidationException.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    #[error("The document path provided in the update expression is invalid for update")]
    InvalidPath,
    #[error("The provided expression refers to an attribute that does not exist in the item")]
    MissingAttribute,
    #[error("An operand in the update expression has an incorrect data type")]
    OperandType,
    /// Of the legacy parameter AttributeUpdates.
    #[error("Type mismatch for attribute to update")]
    TypeMismatch,
    /// The result is far beyond an item's limit: it is not even built.
    #[error("Item size to update has exceeded the maximum allowed size")]
    TooLarge,
    #[error(transparent)]
    Number(#[from] tradewind_model::number::NumberError),
}
