//! Requests for items. The orders of members and of enumerations are those of the service's complaints.

use crate::shape::Constraint::{Keys, Max, MaxLength, Min, MinLength, Name, OneOf, OrArn, Values};
use crate::shape::{NAME, Shape, Structure, TABLE, TEXT, optional, required};

const RETURN_CAPACITY: Shape = Shape::Text(&[OneOf(&["INDEXES", "TOTAL", "NONE"])]);
const RETURN_METRICS: Shape = Shape::Text(&[OneOf(&["SIZE", "NONE"])]);
const RETURN_VALUES: Shape =
    Shape::Text(&[OneOf(&["ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"])]);
const RETURN_ON_FAILURE: Shape = Shape::Text(&[OneOf(&["ALL_OLD", "NONE"])]);
const CONDITIONAL_OPERATOR: Shape = Shape::Text(&[OneOf(&["OR", "AND"])]);
const SELECT: Shape =
    Shape::Text(&[OneOf(&["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"])]);
const COMPARISON: Shape = Shape::Text(&[OneOf(&[
    "IN",
    "NULL",
    "BETWEEN",
    "LT",
    "NOT_CONTAINS",
    "EQ",
    "GT",
    "NOT_NULL",
    "NE",
    "LE",
    "BEGINS_WITH",
    "GE",
    "CONTAINS",
])]);
const ATTRIBUTES_TO_GET: Shape = Shape::List(&TEXT, &[MinLength(1), MaxLength(255)]);
const NAMES: Shape = Shape::Map(&TEXT, &[]);
const VALUES: Shape = Shape::Map(&Shape::Value, &[]);
const VALUE_LIST: Shape = Shape::List(&Shape::Value, &[]);

const EXPECTED: Shape = Shape::Map(
    &Shape::Struct(&Structure {
        name: "ExpectedAttributeValue",
        members: &[
            optional("AttributeValueList", VALUE_LIST),
            optional("ComparisonOperator", COMPARISON),
            optional("Exists", Shape::Boolean),
            optional("Value", Shape::Value),
        ],
    }),
    &[],
);

const CONDITIONS: Shape = Shape::Map(
    &Shape::Struct(&Structure {
        name: "Condition",
        members: &[optional("AttributeValueList", VALUE_LIST), required("ComparisonOperator", COMPARISON)],
    }),
    &[],
);

pub(crate) static GET_ITEM: Structure = Structure {
    name: "GetItemInput",
    members: &[
        optional("ReturnConsumedCapacity", RETURN_CAPACITY),
        optional("AttributesToGet", ATTRIBUTES_TO_GET),
        required("TableName", TABLE),
        required("Key", Shape::Attributes),
        optional("ConsistentRead", Shape::Boolean),
        optional("ProjectionExpression", TEXT),
        optional("ExpressionAttributeNames", NAMES),
    ],
};

pub(crate) static PUT_ITEM: Structure = Structure {
    name: "PutItemInput",
    members: &[
        optional("ReturnConsumedCapacity", RETURN_CAPACITY),
        required("TableName", TABLE),
        required("Item", Shape::Attributes),
        optional("ConditionalOperator", CONDITIONAL_OPERATOR),
        optional("Expected", EXPECTED),
        optional("ReturnValues", RETURN_VALUES),
        optional("ReturnItemCollectionMetrics", RETURN_METRICS),
        optional("ReturnValuesOnConditionCheckFailure", RETURN_ON_FAILURE),
        optional("ConditionExpression", TEXT),
        optional("ExpressionAttributeValues", VALUES),
        optional("ExpressionAttributeNames", NAMES),
    ],
};

pub(crate) static DELETE_ITEM: Structure = Structure {
    name: "DeleteItemInput",
    members: &[
        optional("ReturnConsumedCapacity", RETURN_CAPACITY),
        required("TableName", TABLE),
        optional("ReturnValues", RETURN_VALUES),
        optional("ReturnItemCollectionMetrics", RETURN_METRICS),
        optional("ReturnValuesOnConditionCheckFailure", RETURN_ON_FAILURE),
        required("Key", Shape::Attributes),
        optional("ConditionalOperator", CONDITIONAL_OPERATOR),
        optional("Expected", EXPECTED),
        optional("ConditionExpression", TEXT),
        optional("ExpressionAttributeValues", VALUES),
        optional("ExpressionAttributeNames", NAMES),
    ],
};

const ATTRIBUTE_UPDATES: Shape = Shape::Map(
    &Shape::Struct(&Structure {
        name: "AttributeValueUpdate",
        members: &[
            optional("Action", Shape::Text(&[OneOf(&["ADD", "DELETE", "PUT"])])),
            optional("Value", Shape::Value),
        ],
    }),
    &[],
);

pub(crate) static UPDATE_ITEM: Structure = Structure {
    name: "UpdateItemInput",
    members: &[
        optional("ReturnConsumedCapacity", RETURN_CAPACITY),
        required("TableName", TABLE),
        optional("ReturnItemCollectionMetrics", RETURN_METRICS),
        optional("ReturnValues", RETURN_VALUES),
        optional("ReturnValuesOnConditionCheckFailure", RETURN_ON_FAILURE),
        required("Key", Shape::Attributes),
        optional("ConditionalOperator", CONDITIONAL_OPERATOR),
        optional("Expected", EXPECTED),
        optional("AttributeUpdates", ATTRIBUTE_UPDATES),
        optional("ConditionExpression", TEXT),
        optional("UpdateExpression", TEXT),
        optional("ExpressionAttributeValues", VALUES),
        optional("ExpressionAttributeNames", NAMES),
    ],
};

pub(crate) static QUERY: Structure = Structure {
    name: "QueryInput",
    members: &[
        optional("Select", SELECT),
        optional("IndexName", NAME),
        optional("ReturnConsumedCapacity", RETURN_CAPACITY),
        optional("QueryFilter", CONDITIONS),
        required("TableName", TABLE),
        optional("ConditionalOperator", CONDITIONAL_OPERATOR),
        optional("AttributesToGet", ATTRIBUTES_TO_GET),
        optional("Limit", Shape::Integer(&[Min(1)])),
        optional("KeyConditions", CONDITIONS),
        optional("ExclusiveStartKey", Shape::Attributes),
        optional("ConsistentRead", Shape::Boolean),
        optional("ScanIndexForward", Shape::Boolean),
        optional("KeyConditionExpression", TEXT),
        optional("FilterExpression", TEXT),
        optional("ProjectionExpression", TEXT),
        optional("ExpressionAttributeValues", VALUES),
        optional("ExpressionAttributeNames", NAMES),
    ],
};

pub(crate) static SCAN: Structure = Structure {
    name: "ScanInput",
    members: &[
        optional("Select", SELECT),
        optional("IndexName", NAME),
        optional("TotalSegments", Shape::Integer(&[Min(1), Max(1_000_000)])),
        optional("ReturnConsumedCapacity", RETURN_CAPACITY),
        required("TableName", TABLE),
        optional("ConditionalOperator", CONDITIONAL_OPERATOR),
        optional("ScanFilter", CONDITIONS),
        optional("Segment", Shape::Integer(&[Min(0), Max(999_999)])),
        optional("Limit", Shape::Integer(&[Min(1)])),
        optional("AttributesToGet", ATTRIBUTES_TO_GET),
        optional("ExclusiveStartKey", Shape::Attributes),
        optional("ConsistentRead", Shape::Boolean),
        optional("FilterExpression", TEXT),
        optional("ProjectionExpression", TEXT),
        optional("ExpressionAttributeValues", VALUES),
        optional("ExpressionAttributeNames", NAMES),
    ],
};

/// Of a map by table: names or ARNs.
const TABLE_KEYS: crate::shape::Constraint = Keys(&[OrArn, MaxLength(255), MinLength(3), Name]);

pub(crate) static BATCH_GET_ITEM: Structure = Structure {
    name: "BatchGetItemInput",
    members: &[
        optional("ReturnConsumedCapacity", RETURN_CAPACITY),
        required(
            "RequestItems",
            Shape::Map(&Shape::Struct(&KEYS_AND_ATTRIBUTES), &[MinLength(1), MaxLength(100), TABLE_KEYS]),
        ),
    ],
};

static KEYS_AND_ATTRIBUTES: Structure = Structure {
    name: "KeysAndAttributes",
    members: &[
        required("Keys", Shape::List(&Shape::Attributes, &[MinLength(1), MaxLength(100)])),
        optional("AttributesToGet", ATTRIBUTES_TO_GET),
        optional("ConsistentRead", Shape::Boolean),
        optional("ProjectionExpression", TEXT),
        optional("ExpressionAttributeNames", NAMES),
    ],
};

pub(crate) static BATCH_WRITE_ITEM: Structure = Structure {
    name: "BatchWriteItemInput",
    members: &[
        optional("ReturnConsumedCapacity", RETURN_CAPACITY),
        optional("ReturnItemCollectionMetrics", RETURN_METRICS),
        required(
            "RequestItems",
            Shape::Map(
                &Shape::List(&Shape::Struct(&WRITE_REQUEST), &[]),
                &[MinLength(1), MaxLength(25), TABLE_KEYS, Values(&[MaxLength(25), MinLength(1)])],
            ),
        ),
    ],
};

static WRITE_REQUEST: Structure = Structure {
    name: "WriteRequest",
    members: &[
        optional(
            "DeleteRequest",
            Shape::Struct(&Structure {
                name: "DeleteRequest",
                members: &[required("Key", Shape::Attributes)],
            }),
        ),
        optional(
            "PutRequest",
            Shape::Struct(&Structure { name: "PutRequest", members: &[required("Item", Shape::Attributes)] }),
        ),
    ],
};

/// 1 to 100 actions.
const ACTIONS: &[crate::shape::Constraint] = &[MinLength(1), MaxLength(100)];

pub(crate) static TRANSACT_GET_ITEMS: Structure = Structure {
    name: "TransactGetItemsInput",
    members: &[
        required("TransactItems", Shape::List(&Shape::Struct(&TRANSACT_GET_ITEM), ACTIONS)),
        optional("ReturnConsumedCapacity", RETURN_CAPACITY),
    ],
};

static TRANSACT_GET_ITEM: Structure = Structure {
    name: "TransactGetItem",
    members: &[required(
        "Get",
        Shape::Struct(&Structure {
            name: "Get",
            members: &[
                required("Key", Shape::Attributes),
                required("TableName", TABLE),
                optional("ProjectionExpression", TEXT),
                optional("ExpressionAttributeNames", NAMES),
            ],
        }),
    )],
};

pub(crate) static TRANSACT_WRITE_ITEMS: Structure = Structure {
    name: "TransactWriteItemsInput",
    members: &[
        required("TransactItems", Shape::List(&Shape::Struct(&TRANSACT_WRITE_ITEM), ACTIONS)),
        optional("ReturnConsumedCapacity", RETURN_CAPACITY),
        optional("ReturnItemCollectionMetrics", RETURN_METRICS),
        optional("ClientRequestToken", Shape::Text(&[MinLength(1), MaxLength(36)])),
    ],
};

static TRANSACT_WRITE_ITEM: Structure = Structure {
    name: "TransactWriteItem",
    members: &[
        optional("ConditionCheck", Shape::Struct(&CONDITION_CHECK)),
        optional("Put", Shape::Struct(&PUT)),
        optional("Delete", Shape::Struct(&DELETE)),
        optional("Update", Shape::Struct(&UPDATE)),
    ],
};

static CONDITION_CHECK: Structure = Structure {
    name: "ConditionCheck",
    members: &[
        required("Key", Shape::Attributes),
        required("TableName", TABLE),
        required("ConditionExpression", TEXT),
        optional("ExpressionAttributeNames", NAMES),
        optional("ExpressionAttributeValues", VALUES),
        optional("ReturnValuesOnConditionCheckFailure", RETURN_ON_FAILURE),
    ],
};

static PUT: Structure = Structure {
    name: "Put",
    members: &[
        required("Item", Shape::Attributes),
        required("TableName", TABLE),
        optional("ConditionExpression", TEXT),
        optional("ExpressionAttributeNames", NAMES),
        optional("ExpressionAttributeValues", VALUES),
        optional("ReturnValuesOnConditionCheckFailure", RETURN_ON_FAILURE),
    ],
};

static DELETE: Structure = Structure {
    name: "Delete",
    members: &[
        required("Key", Shape::Attributes),
        required("TableName", TABLE),
        optional("ConditionExpression", TEXT),
        optional("ExpressionAttributeNames", NAMES),
        optional("ExpressionAttributeValues", VALUES),
        optional("ReturnValuesOnConditionCheckFailure", RETURN_ON_FAILURE),
    ],
};

static UPDATE: Structure = Structure {
    name: "Update",
    members: &[
        required("Key", Shape::Attributes),
        required("UpdateExpression", TEXT),
        required("TableName", TABLE),
        optional("ConditionExpression", TEXT),
        optional("ExpressionAttributeNames", NAMES),
        optional("ExpressionAttributeValues", VALUES),
        optional("ReturnValuesOnConditionCheckFailure", RETURN_ON_FAILURE),
    ],
};
