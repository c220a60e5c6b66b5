//! Requests with PartiQL statements.

use crate::shape::Constraint::{MaxLength, Min, MinLength, OneOf};
use crate::shape::{Shape, Structure, optional, required};

const STATEMENT: Shape = Shape::Text(&[MinLength(1), MaxLength(8192)]);
const PARAMETERS: Shape = Shape::List(&Shape::Value, &[MinLength(1)]);
const RETURN_CAPACITY: Shape = Shape::Text(&[OneOf(&["INDEXES", "TOTAL", "NONE"])]);
const RETURN_ON_FAILURE: Shape = Shape::Text(&[OneOf(&["ALL_OLD", "NONE"])]);

pub(crate) static EXECUTE_STATEMENT: Structure = Structure {
    name: "ExecuteStatementInput",
    members: &[
        required("Statement", STATEMENT),
        optional("Parameters", PARAMETERS),
        optional("ConsistentRead", Shape::Boolean),
        optional("NextToken", Shape::Text(&[MinLength(1), MaxLength(32_768)])),
        optional("ReturnConsumedCapacity", RETURN_CAPACITY),
        optional("Limit", Shape::Integer(&[Min(1)])),
        optional("ReturnValuesOnConditionCheckFailure", RETURN_ON_FAILURE),
    ],
};

static BATCH_STATEMENT: Structure = Structure {
    name: "BatchStatementRequest",
    members: &[
        required("Statement", STATEMENT),
        optional("Parameters", PARAMETERS),
        optional("ConsistentRead", Shape::Boolean),
        optional("ReturnValuesOnConditionCheckFailure", RETURN_ON_FAILURE),
    ],
};

pub(crate) static BATCH_EXECUTE_STATEMENT: Structure = Structure {
    name: "BatchExecuteStatementInput",
    members: &[
        required("Statements", Shape::List(&Shape::Struct(&BATCH_STATEMENT), &[MinLength(1), MaxLength(25)])),
        optional("ReturnConsumedCapacity", RETURN_CAPACITY),
    ],
};

static PARAMETERIZED_STATEMENT: Structure = Structure {
    name: "ParameterizedStatement",
    members: &[
        required("Statement", STATEMENT),
        optional("Parameters", PARAMETERS),
        optional("ReturnValuesOnConditionCheckFailure", RETURN_ON_FAILURE),
    ],
};

pub(crate) static EXECUTE_TRANSACTION: Structure = Structure {
    name: "ExecuteTransactionInput",
    members: &[
        required(
            "TransactStatements",
            Shape::List(&Shape::Struct(&PARAMETERIZED_STATEMENT), &[MinLength(1), MaxLength(100)]),
        ),
        optional("ClientRequestToken", Shape::Text(&[MinLength(1), MaxLength(36)])),
        optional("ReturnConsumedCapacity", RETURN_CAPACITY),
    ],
};
