//! The 2017 version of global tables. Tables with replicas are of the version of 2019, which these operations do not see,
//! on AWS neither: there is no global table for them, and none can be made.

use tradewind_engine::{Documents, Engine};
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;
use tradewind_wire::request::global_table::CreateGlobalTable;
use tradewind_wire::response::Answer;
use tradewind_wire::response::table::GlobalTablePage;

use crate::region::Database;

impl<E: Engine + Documents> Database<E> {
    pub(crate) fn create_global_table(&self, request: &CreateGlobalTable) -> Result<Answer, ApiError> {
        let name = &request.name;
        if self.table(name).is_none() {
            return Err(ApiError::new(Code::TableNotFound, format!("Table not found: {name}")));
        }
        Err(ApiError::validation(
            "Global tables of version 2017.11.29 are not supported: add replicas by ReplicaUpdates of UpdateTable, which \
             makes a global table of version 2019.11.21",
        ))
    }

    pub(crate) fn list_global_tables(&self) -> Answer {
        Answer::GlobalTables(GlobalTablePage::default())
    }

    pub(crate) fn no_global_table(&self, name: &str) -> ApiError {
        let message = format!("Global table not found: Global table with name: '{name}' does not exist.");
        ApiError::new(Code::GlobalTableNotFound, message)
    }
}
