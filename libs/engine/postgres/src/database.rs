//! One PostgreSQL database, as the parts of an engine share it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tradewind_engine::Clock;

use crate::log::Log;
use crate::settings::Settings;
use crate::source::Source;
use crate::standby::Standbys;

pub struct Database {
    pub settings: Settings,
    pub clock: Clock,
    /// The server that takes writes; strong reads and the log ask no other.
    pub primary: Arc<Source>,
    pub log: Log,
    pub standbys: Standbys,
    pub trouble: Trouble,
}

/// What was wrong with the last commit, if anything was.
#[derive(Default)]
pub struct Trouble(Mutex<Option<(Instant, String)>>);

/// Nobody may have tried since: what was wrong so long ago may be right again.
const REMEMBERED: Duration = Duration::from_secs(30);

impl Trouble {
    pub fn note(&self, trouble: Option<String>) {
        let noted = trouble.map(|trouble| (Instant::now(), trouble));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = noted;
    }

    pub fn last(&self) -> Option<String> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.as_ref().filter(|(at, _)| at.elapsed() < REMEMBERED).map(|(_, trouble)| trouble.clone())
    }
}
