//! One PostgreSQL database, as the parts of an engine share it.

use std::sync::Arc;

use tradewind_engine::Clock;

use crate::log::Log;
use crate::settings::Settings;
use crate::source::Source;
use crate::standby::Standbys;
use crate::trouble::Trouble;

pub struct Database {
    pub settings: Settings,
    pub clock: Clock,
    /// The server that takes writes; strong reads and the log ask no other.
    pub primary: Arc<Source>,
    pub log: Log,
    pub standbys: Standbys,
    pub trouble: Trouble,
}
