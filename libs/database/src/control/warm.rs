//! Warm throughput: what a table or an index bears at once. It begins with its capacity, and is only ever raised.

use tradewind_wire::ApiError;
use tradewind_wire::request::table::WarmThroughput;

use crate::table::document::{Capacity, TableDocument};

/// What a new on-demand table bears at once. (Developer guide, "Warm throughput".)
const ON_DEMAND_READS: u64 = 12_000;
const ON_DEMAND_WRITES: u64 = 4_000;

/// The least that there is, in reads and writes a second.
fn least(capacity: &Capacity) -> (u64, u64) {
    if capacity.on_demand {
        (ON_DEMAND_READS, ON_DEMAND_WRITES)
    } else {
        (capacity.provisioned.read, capacity.provisioned.write)
    }
}

/// Reads and writes a second.
pub fn warm(capacity: &Capacity) -> (u64, u64) {
    let (read, write) = least(capacity);
    (capacity.warm_read.unwrap_or(0).max(read), capacity.warm_write.unwrap_or(0).max(write))
}

/// Refuses a new table that asks for less than it has anyway, for itself or for an index.
pub fn check_new(document: &TableDocument) -> Result<(), ApiError> {
    check_least(&document.capacity, "table")?;
    document
        .indexes
        .iter()
        .try_for_each(|index| check_least(&index.capacity, &format!("index {}", index.name)))
}

pub fn check_least(capacity: &Capacity, what: &str) -> Result<(), ApiError> {
    let (read, write) = least(capacity);
    let than = |units: &str| {
        if capacity.on_demand {
            "initial throughput for OnDemand".to_owned()
        } else {
            format!("{units} of ProvisionedThroughput")
        }
    };
    if capacity.warm_read.is_some_and(|asked| asked < read) {
        return Err(lower("ReadUnitsPerSecond", what, &than("ReadCapacityUnits")));
    }
    if capacity.warm_write.is_some_and(|asked| asked < write) {
        return Err(lower("WriteUnitsPerSecond", what, &than("WriteCapacityUnits")));
    }
    Ok(())
}

/// Raises what is there.
pub fn raise(capacity: &mut Capacity, asked: WarmThroughput, what: &str) -> Result<(), ApiError> {
    let (read, write) = warm(capacity);
    let current = "current WarmThroughput, decreasing WarmThroughput is not supported";
    if asked.read.is_some_and(|asked| asked < read) {
        return Err(lower("ReadUnitsPerSecond", what, current));
    }
    if asked.write.is_some_and(|asked| asked < write) {
        return Err(lower("WriteUnitsPerSecond", what, current));
    }
    capacity.warm_read = asked.read.or(capacity.warm_read);
    capacity.warm_write = asked.write.or(capacity.warm_write);
    Ok(())
}

fn lower(asked: &str, what: &str, than: &str) -> ApiError {
    ApiError::invalid_value(format!("Requested {asked} for WarmThroughput for {what} is lower than {than}"))
}
