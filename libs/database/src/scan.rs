//! Scan: all items of a table or an index, in the order of their partition keys' hashes, in as many segments as asked.

use std::ops::Range;

use bytes::Bytes;
use tradewind_engine::{Documents, Engine};
use tradewind_model::Incarnation;
use tradewind_model::key::after_prefix;
use tradewind_wire::ApiError;
use tradewind_wire::request::item::{Scan, Segment};
use tradewind_wire::response::item::PageOutput;

use crate::key_paths;
use crate::page::{PageRequest, check_select, find_index, name_capacity};
use crate::query::start_position;
use crate::region::Database;

impl<E: Engine + Documents> Database<E> {
    pub async fn scan(&self, request: Scan) -> Result<PageOutput, ApiError> {
        let table = self.find(&request.table)?.document();
        let index = find_index(&table, request.index.as_deref(), request.consistent)?;
        check_select(&table, index, request.select, request.projection.as_ref())?;
        let mut keys = segment_keys(index.map_or(table.incarnation, |index| index.id), request.segment);
        if let Some(start) = &request.start {
            let position = start_position(&table, index, start)?;
            if !keys.contains(&position) {
                return Err(wrong_segment(request.segment));
            }
            keys.start = [&position[..], &[0]].concat().into();
        }
        key_paths::check_projection(&table, request.projection.as_ref())?;
        key_paths::check_condition(&table, request.filter.as_ref())?;
        let page = PageRequest {
            table: &table,
            index,
            keys,
            reverse: false,
            limit: request.limit,
            filter: request.filter.as_ref(),
            projection: request.projection.as_ref(),
            select: request.select,
            consistent: request.consistent,
            fresh: request.fresh,
        };
        Ok(name_capacity(self.page(&page).await?, &request.table, request.capacity))
    }
}

/// All rows behind `prefix` (a table's incarnation or an index's id) whose hash lies in the segment: the segments of one
/// total cover all hashes once.
pub(crate) fn segment_keys(prefix: Incarnation, segment: Option<Segment>) -> Range<Bytes> {
    let all = Bytes::copy_from_slice(prefix.as_bytes())..after_prefix(prefix.as_bytes());
    let Some(Segment { segment, total }) = segment else { return all };
    let first_hash = |segment: u32| (u128::from(segment) << 64).div_ceil(u128::from(total));
    let bound = |hash: u128| match u64::try_from(hash) {
        Ok(hash) => Bytes::from([&prefix.as_bytes()[..], &hash.to_be_bytes()].concat()),
        Err(_) => all.end.clone(),
    };
    bound(first_hash(segment))..bound(first_hash(segment + 1))
}

fn wrong_segment(segment: Option<Segment>) -> ApiError {
    ApiError::validation(match segment {
        Some(Segment { segment, total }) => format!(
            "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct \
             Segment. TotalSegments: {total} Segment: {segment}"
        ),
        None => "The provided starting key is invalid".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cover_all_keys_once() {
        let prefix = Incarnation(uuid::Uuid::from_bytes([9; 16]));
        let all = segment_keys(prefix, None);
        for total in [1, 2, 3, 7, 1_000_000] {
            let of = |segment| segment_keys(prefix, Some(Segment { segment, total }));
            assert!(of(0).start[..16] == all.start[..], "{total}");
            assert_eq!(of(total - 1).end, all.end, "{total}");
            (1..total.min(50)).for_each(|segment| assert_eq!(of(segment - 1).end, of(segment).start));
        }
    }
}
