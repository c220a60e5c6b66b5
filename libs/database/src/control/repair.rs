//! What the catalogue knows of a table's log here: whether others have followed it, or a repair is under way. See
//! [`OwnLog`](crate::table::log::OwnLog).

use tradewind_engine::{Documents, Engine};
use tradewind_wire::ApiError;

use crate::region::Database;

impl<E: Engine + Documents> Database<E> {
    /// No link of the table sends anything from here on, in any process: a link that knew the log under `term` has found
    /// that its destination, which knew of `there`, has followed another one.
    pub async fn set_diverged(&self, name: &str, term: u64, there: u64) -> Result<(), ApiError> {
        let found = self.change(name, |document| {
            document.global.log.found_diverged(term, there);
            Ok(())
        });
        found.await.map(|_| ())
    }

    /// Answers the term of the repair that begins, above `there`.
    pub async fn begin_repair(&self, name: &str, there: u64) -> Result<u64, ApiError> {
        let mut term = 0;
        let begun = self.change(name, |document| {
            document.global.log.begin_repair(there);
            term = document.global.log.term;
            Ok(())
        });
        begun.await?;
        Ok(term)
    }

    /// Links go on, unless another repair has taken over.
    pub async fn end_repair(&self, name: &str, term: u64) -> Result<(), ApiError> {
        let ended = self.change(name, |document| match document.global.log.is_repaired_under(term) {
            true => {
                document.global.log.end_repair();
                Ok(())
            }
            false => Err(overtaken(name)),
        });
        ended.await.map(|_| ())
    }
}

pub(crate) fn overtaken(table: &str) -> ApiError {
    ApiError::resource_in_use(format!("another repair of {table} has begun"))
}
