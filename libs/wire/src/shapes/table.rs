//! Requests for tables. The orders of members and of enumerations are those of the service's complaints.

use crate::shape::Constraint::{MaxLength, Min, MinLength, Name, OneOf};
use crate::shape::{NAME, Shape, Structure, TEXT, optional, required, table_name};
use crate::target::Operation;

const ATTRIBUTE_NAME: Shape = Shape::Text(&[MinLength(1), MaxLength(255)]);
const BILLING_MODE: Shape = Shape::Text(&[OneOf(&["PROVISIONED", "PAY_PER_REQUEST"])]);
const UNITS: Shape = Shape::Long(&[Min(1)]);
const LONG: Shape = Shape::Long(&[]);
const TABLE_CLASS: Shape = Shape::Text(&[OneOf(&["STANDARD", "STANDARD_INFREQUENT_ACCESS"])]);
const SETTINGS_REPLICATION: Shape = Shape::Text(&[OneOf(&["ENABLED", "DISABLED", "ENABLED_WITH_OVERRIDES"])]);

const ATTRIBUTE_DEFINITIONS: Shape = Shape::List(
    &Shape::Struct(&Structure {
        name: "AttributeDefinition",
        members: &[
            required("AttributeName", ATTRIBUTE_NAME),
            required("AttributeType", Shape::Text(&[OneOf(&["B", "N", "S"])])),
        ],
    }),
    &[],
);

const PROVISIONED_THROUGHPUT: Shape = Shape::Struct(&Structure {
    name: "ProvisionedThroughput",
    members: &[required("WriteCapacityUnits", UNITS), required("ReadCapacityUnits", UNITS)],
});

const ON_DEMAND_THROUGHPUT: Shape = Shape::Struct(&Structure {
    name: "OnDemandThroughput",
    members: &[optional("MaxReadRequestUnits", LONG), optional("MaxWriteRequestUnits", LONG)],
});

const WARM_THROUGHPUT: Shape = Shape::Struct(&Structure {
    name: "WarmThroughput",
    members: &[optional("ReadUnitsPerSecond", LONG), optional("WriteUnitsPerSecond", LONG)],
});

const TABLE_KEY_SCHEMA: Shape = Shape::List(
    &Shape::Struct(&Structure {
        name: "KeySchemaElement",
        members: &[
            required("AttributeName", ATTRIBUTE_NAME),
            required("KeyType", Shape::Text(&[OneOf(&["HASH", "RANGE"])])),
        ],
    }),
    &[MinLength(1), MaxLength(2)],
);

/// An index's key types are looked at later.
static INDEX_KEY: Structure = Structure {
    name: "KeySchemaElement",
    members: &[required("AttributeName", ATTRIBUTE_NAME), required("KeyType", TEXT)],
};
const LOCAL_KEY_SCHEMA: Shape = Shape::List(&Shape::Struct(&INDEX_KEY), &[MinLength(1), MaxLength(2)]);
/// Four attributes of each kind.
const GLOBAL_KEY_SCHEMA: Shape = Shape::List(&Shape::Struct(&INDEX_KEY), &[MinLength(1), MaxLength(8)]);

const PROJECTION: Shape = Shape::Struct(&Structure {
    name: "Projection",
    members: &[
        optional("ProjectionType", Shape::Text(&[OneOf(&["ALL", "INCLUDE", "KEYS_ONLY"])])),
        optional("NonKeyAttributes", Shape::List(&ATTRIBUTE_NAME, &[MinLength(1), MaxLength(20)])),
    ],
});

const STREAM_SPECIFICATION: Shape = Shape::Struct(&Structure {
    name: "StreamSpecification",
    members: &[
        required("StreamEnabled", Shape::Boolean),
        optional(
            "StreamViewType",
            Shape::Text(&[OneOf(&["NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"])]),
        ),
    ],
});

const SSE_SPECIFICATION: Shape = Shape::Struct(&Structure {
    name: "SSESpecification",
    members: &[
        optional("Enabled", Shape::Boolean),
        optional("SSEType", Shape::Text(&[OneOf(&["AES256", "KMS"])])),
        optional("KMSMasterKeyId", TEXT),
    ],
});

static TAG: Structure = Structure {
    name: "Tag",
    members: &[
        required("Key", Shape::Text(&[MinLength(1), MaxLength(128)])),
        required("Value", Shape::Text(&[MaxLength(256)])),
    ],
};

pub(crate) static CREATE_TABLE: Structure = Structure {
    name: "CreateTableInput",
    members: &[
        required("AttributeDefinitions", ATTRIBUTE_DEFINITIONS),
        table_name(),
        optional("BillingMode", BILLING_MODE),
        optional("ProvisionedThroughput", PROVISIONED_THROUGHPUT),
        required("KeySchema", TABLE_KEY_SCHEMA),
        optional("LocalSecondaryIndexes", Shape::List(&Shape::Struct(&LOCAL_INDEX), &[])),
        optional("GlobalSecondaryIndexes", Shape::List(&Shape::Struct(&GLOBAL_INDEX), &[])),
        optional("StreamSpecification", STREAM_SPECIFICATION),
        optional("SSESpecification", SSE_SPECIFICATION),
        optional("Tags", Shape::List(&Shape::Struct(&TAG), &[])),
        optional("TableClass", TABLE_CLASS),
        optional("DeletionProtectionEnabled", Shape::Boolean),
        optional("WarmThroughput", WARM_THROUGHPUT),
        optional("ResourcePolicy", TEXT),
        optional("OnDemandThroughput", ON_DEMAND_THROUGHPUT),
        optional("GlobalTableSourceArn", Shape::Text(&[MinLength(1), MaxLength(1024)])),
        optional("GlobalTableSettingsReplicationMode", SETTINGS_REPLICATION),
    ],
};

static LOCAL_INDEX: Structure = Structure {
    name: "LocalSecondaryIndex",
    members: &[
        required("IndexName", NAME),
        required("KeySchema", LOCAL_KEY_SCHEMA),
        required("Projection", PROJECTION),
    ],
};

static GLOBAL_INDEX: Structure = Structure {
    name: "GlobalSecondaryIndex",
    members: &[
        required("IndexName", NAME),
        required("KeySchema", GLOBAL_KEY_SCHEMA),
        required("Projection", PROJECTION),
        optional("ProvisionedThroughput", PROVISIONED_THROUGHPUT),
        optional("OnDemandThroughput", ON_DEMAND_THROUGHPUT),
        optional("WarmThroughput", WARM_THROUGHPUT),
    ],
};

pub(crate) static UPDATE_TABLE: Structure = Structure {
    name: "UpdateTableInput",
    members: &[
        table_name(),
        optional("AttributeDefinitions", ATTRIBUTE_DEFINITIONS),
        optional("ProvisionedThroughput", PROVISIONED_THROUGHPUT),
        optional("BillingMode", BILLING_MODE),
        optional("GlobalSecondaryIndexUpdates", Shape::List(&Shape::Struct(&INDEX_UPDATE), &[])),
        optional("StreamSpecification", STREAM_SPECIFICATION),
        optional("SSESpecification", SSE_SPECIFICATION),
        optional("ReplicaUpdates", Shape::List(&Shape::Struct(&REPLICA_UPDATE), &[MinLength(1)])),
        optional("TableClass", TABLE_CLASS),
        optional("DeletionProtectionEnabled", Shape::Boolean),
        optional("MultiRegionConsistency", Shape::Text(&[OneOf(&["EVENTUAL", "STRONG"])])),
        optional(
            "GlobalTableWitnessUpdates",
            Shape::List(&Shape::Struct(&WITNESS_UPDATE), &[MinLength(1), MaxLength(1)]),
        ),
        optional("OnDemandThroughput", ON_DEMAND_THROUGHPUT),
        optional("WarmThroughput", WARM_THROUGHPUT),
        optional("GlobalTableSettingsReplicationMode", SETTINGS_REPLICATION),
        optional("DisassociationProtectionEnabled", Shape::Boolean),
    ],
};

static INDEX_UPDATE: Structure = Structure {
    name: "GlobalSecondaryIndexUpdate",
    members: &[
        optional(
            "Update",
            Shape::Struct(&Structure {
                name: "UpdateGlobalSecondaryIndexAction",
                members: &[
                    required("IndexName", NAME),
                    optional("ProvisionedThroughput", PROVISIONED_THROUGHPUT),
                    optional("OnDemandThroughput", ON_DEMAND_THROUGHPUT),
                    optional("WarmThroughput", WARM_THROUGHPUT),
                ],
            }),
        ),
        optional(
            "Create",
            Shape::Struct(&Structure {
                name: "CreateGlobalSecondaryIndexAction",
                members: &[
                    required("Projection", PROJECTION),
                    required("IndexName", NAME),
                    optional("ProvisionedThroughput", PROVISIONED_THROUGHPUT),
                    optional("OnDemandThroughput", ON_DEMAND_THROUGHPUT),
                    optional("WarmThroughput", WARM_THROUGHPUT),
                    required("KeySchema", GLOBAL_KEY_SCHEMA),
                ],
            }),
        ),
        optional(
            "Delete",
            Shape::Struct(&Structure {
                name: "DeleteGlobalSecondaryIndexAction",
                members: &[required("IndexName", NAME)],
            }),
        ),
    ],
};

const PROVISIONED_OVERRIDE: Shape = Shape::Struct(&Structure {
    name: "ProvisionedThroughputOverride",
    members: &[optional("ReadCapacityUnits", UNITS)],
});
const ON_DEMAND_OVERRIDE: Shape = Shape::Struct(&Structure {
    name: "OnDemandThroughputOverride",
    members: &[optional("MaxReadRequestUnits", LONG)],
});

static REPLICA_UPDATE: Structure = Structure {
    name: "ReplicationGroupUpdate",
    members: &[
        optional("Create", Shape::Struct(&REPLICA_CREATE)),
        optional("Update", Shape::Struct(&REPLICA_SETTINGS)),
        optional(
            "Delete",
            Shape::Struct(&Structure {
                name: "DeleteReplicationGroupMemberAction",
                members: &[required("RegionName", TEXT)],
            }),
        ),
        optional(
            "Disassociate",
            Shape::Struct(&Structure {
                name: "DisassociateReplicationGroupMemberAction",
                members: &[
                    required("RegionName", TEXT),
                    required("DisassociationMode", Shape::Text(&[OneOf(&["WAIT_FOR_REPLICATION"])])),
                ],
            }),
        ),
    ],
};

static REPLICA_CREATE: Structure =
    Structure { name: "CreateReplicationGroupMemberAction", members: REPLICA_SETTINGS.members };

static REPLICA_SETTINGS: Structure = Structure {
    name: "UpdateReplicationGroupMemberAction",
    members: &[
        required("RegionName", TEXT),
        optional("KMSMasterKeyId", TEXT),
        optional("ProvisionedThroughputOverride", PROVISIONED_OVERRIDE),
        optional("OnDemandThroughputOverride", ON_DEMAND_OVERRIDE),
        optional(
            "GlobalSecondaryIndexes",
            Shape::List(
                &Shape::Struct(&Structure {
                    name: "ReplicaGlobalSecondaryIndex",
                    members: &[
                        required("IndexName", NAME),
                        optional("ProvisionedThroughputOverride", PROVISIONED_OVERRIDE),
                        optional("OnDemandThroughputOverride", ON_DEMAND_OVERRIDE),
                    ],
                }),
                &[MinLength(1)],
            ),
        ),
        optional("TableClassOverride", TABLE_CLASS),
    ],
};

static REGION: Structure =
    Structure { name: "GlobalTableWitnessGroupMemberAction", members: &[required("RegionName", TEXT)] };

static WITNESS_UPDATE: Structure = Structure {
    name: "GlobalTableWitnessGroupUpdate",
    members: &[optional("Create", Shape::Struct(&REGION)), optional("Delete", Shape::Struct(&REGION))],
};

static ONE_TABLE: Structure = Structure { name: "DescribeTableInput", members: &[table_name()] };

static NOTHING: Structure = Structure { name: "DescribeLimitsInput", members: &[] };

static LIST_TABLES: Structure = Structure {
    name: "ListTablesInput",
    members: &[
        optional("Limit", Shape::Integer(&[Min(1), crate::shape::Constraint::Max(100)])),
        optional("ExclusiveStartTableName", Shape::Text(&[Name, MinLength(3), MaxLength(255)])),
    ],
};

/// The operations on tags look at their ARN by themselves, before these constraints are checked.
static TAG_RESOURCE: Structure = Structure {
    name: "TagResourceInput",
    members: &[optional("ResourceArn", TEXT), required("Tags", Shape::List(&Shape::Struct(&TAG), &[]))],
};

static UNTAG_RESOURCE: Structure = Structure {
    name: "UntagResourceInput",
    members: &[
        optional("ResourceArn", TEXT),
        required("TagKeys", Shape::List(&Shape::Text(&[MinLength(1), MaxLength(128)]), &[])),
    ],
};

static LIST_TAGS: Structure = Structure {
    name: "ListTagsOfResourceInput",
    members: &[optional("ResourceArn", TEXT), optional("NextToken", TEXT)],
};

static RESOURCE: Structure = Structure {
    name: "GetResourcePolicyInput",
    members: &[required("ResourceArn", Shape::Text(&[MinLength(1), MaxLength(1283)]))],
};

static UPDATE_TIME_TO_LIVE: Structure = Structure {
    name: "UpdateTimeToLiveInput",
    members: &[
        table_name(),
        required(
            "TimeToLiveSpecification",
            Shape::Struct(&Structure {
                name: "TimeToLiveSpecification",
                members: &[required("Enabled", Shape::Boolean), required("AttributeName", ATTRIBUTE_NAME)],
            }),
        ),
    ],
};

static CONTRIBUTOR_INSIGHTS: Structure = Structure {
    name: "DescribeContributorInsightsInput",
    members: &[table_name(), optional("IndexName", NAME)],
};

static REPLICA: Structure = Structure { name: "Replica", members: &[optional("RegionName", TEXT)] };

static CREATE_GLOBAL_TABLE: Structure = Structure {
    name: "CreateGlobalTableInput",
    members: &[
        required("GlobalTableName", NAME),
        required("ReplicationGroup", Shape::List(&Shape::Struct(&REPLICA), &[])),
    ],
};

static UPDATE_GLOBAL_TABLE: Structure = Structure {
    name: "UpdateGlobalTableInput",
    members: &[
        required("GlobalTableName", NAME),
        required(
            "ReplicaUpdates",
            Shape::List(
                &Shape::Struct(&Structure {
                    name: "ReplicaUpdate",
                    members: &[
                        optional("Create", Shape::Struct(&REGION)),
                        optional("Delete", Shape::Struct(&REGION)),
                    ],
                }),
                &[],
            ),
        ),
    ],
};

static GLOBAL_TABLE: Structure =
    Structure { name: "DescribeGlobalTableInput", members: &[required("GlobalTableName", NAME)] };

static LIST_GLOBAL_TABLES: Structure = Structure {
    name: "ListGlobalTablesInput",
    members: &[
        optional("ExclusiveStartGlobalTableName", NAME),
        optional("Limit", Shape::Integer(&[Min(1)])),
        optional("RegionName", TEXT),
    ],
};

static UPDATE_GLOBAL_TABLE_SETTINGS: Structure = Structure {
    name: "UpdateGlobalTableSettingsInput",
    members: &[
        required("GlobalTableName", NAME),
        optional("GlobalTableBillingMode", BILLING_MODE),
        optional("GlobalTableProvisionedWriteCapacityUnits", UNITS),
        optional(
            "GlobalTableGlobalSecondaryIndexSettingsUpdate",
            Shape::List(
                &Shape::Struct(&Structure {
                    name: "GlobalTableGlobalSecondaryIndexSettingsUpdate",
                    members: &[required("IndexName", NAME), optional("ProvisionedWriteCapacityUnits", UNITS)],
                }),
                &[MinLength(1), MaxLength(20)],
            ),
        ),
        optional(
            "ReplicaSettingsUpdate",
            Shape::List(&Shape::Struct(&REPLICA_SETTINGS_UPDATE), &[MinLength(1), MaxLength(50)]),
        ),
    ],
};

static REPLICA_SETTINGS_UPDATE: Structure = Structure {
    name: "ReplicaSettingsUpdate",
    members: &[
        required("RegionName", TEXT),
        optional("ReplicaProvisionedReadCapacityUnits", UNITS),
        optional(
            "ReplicaGlobalSecondaryIndexSettingsUpdate",
            Shape::List(
                &Shape::Struct(&Structure {
                    name: "ReplicaGlobalSecondaryIndexSettingsUpdate",
                    members: &[required("IndexName", NAME), optional("ProvisionedReadCapacityUnits", UNITS)],
                }),
                &[MinLength(1), MaxLength(20)],
            ),
        ),
        optional("ReplicaTableClass", TABLE_CLASS),
    ],
};

/// The shape of an operation that is not on items or streams.
pub(crate) fn of(operation: Operation) -> &'static Structure {
    match operation {
        Operation::CreateTable => &CREATE_TABLE,
        Operation::UpdateTable => &UPDATE_TABLE,
        Operation::ListTables => &LIST_TABLES,
        Operation::TagResource => &TAG_RESOURCE,
        Operation::UntagResource => &UNTAG_RESOURCE,
        Operation::ListTagsOfResource => &LIST_TAGS,
        Operation::GetResourcePolicy => &RESOURCE,
        Operation::UpdateTimeToLive => &UPDATE_TIME_TO_LIVE,
        Operation::DescribeContributorInsights => &CONTRIBUTOR_INSIGHTS,
        Operation::CreateGlobalTable => &CREATE_GLOBAL_TABLE,
        Operation::UpdateGlobalTable => &UPDATE_GLOBAL_TABLE,
        Operation::DescribeGlobalTable | Operation::DescribeGlobalTableSettings => &GLOBAL_TABLE,
        Operation::ListGlobalTables => &LIST_GLOBAL_TABLES,
        Operation::UpdateGlobalTableSettings => &UPDATE_GLOBAL_TABLE_SETTINGS,
        Operation::DescribeLimits | Operation::DescribeEndpoints => &NOTHING,
        _ => &ONE_TABLE,
    }
}
