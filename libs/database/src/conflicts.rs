//! Reading the conflict log.

use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::key::after_prefix;
use tradewind_wire::ApiError;

use crate::conflict::Conflict;
use crate::partition::owner::explain;
use crate::region::Database;

impl<E: Engine + Documents> Database<E> {
    /// The table's conflicts as this region saw them, oldest first, at most `limit` from `after` on; with the position
    /// to go on from, if there are more.
    pub async fn conflicts(
        &self,
        name: &str,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<(Vec<Conflict>, Option<Vec<u8>>), ApiError> {
        let document = self.existing(name)?.document();
        let prefix = document.incarnation.as_bytes();
        let start = after.unwrap_or_else(|| prefix.to_vec());
        let end = after_prefix(prefix);
        let (mut found, mut next) = (Vec::new(), None);
        self.shared
            .engine
            .range(Space::Conflicts, &start[..]..&end[..], false, |key, value| {
                if found.len() == limit {
                    next = Some(key.to_vec());
                    return false;
                }
                found.extend(Conflict::decode(key, value));
                true
            })
            .await
            .map_err(|error| explain(&error))?;
        Ok((found, next))
    }
}
