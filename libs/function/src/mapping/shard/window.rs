//! Tumbling windows: consecutive spans of time whose invocations hand a state on, closed by a last one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Batch, ShardMachine, Work};

/// State that a function may hand on (Lambda: 1 MB per shard); with more the window ends early.
const MAX_STATE: usize = 1024 * 1024;
/// How long after a window's end its records may still come.
const GRACE_MS: u64 = 1000;

/// An open window; saved with the checkpoint, so that state and progress never part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WindowState {
    pub start_ms: u64,
    pub end_ms: u64,
    pub state: Value,
    pub is_terminated_early: bool,
}

impl WindowState {
    fn around(time_ms: u64, length_ms: u64) -> WindowState {
        let start_ms = time_ms - time_ms % length_ms;
        WindowState { start_ms, end_ms: start_ms + length_ms, state: json!({}), is_terminated_early: false }
    }
}

impl ShardMachine {
    pub(super) fn window_closes_at(&self) -> Option<u64> {
        self.window.as_ref().map(|window| window.end_ms + GRACE_MS)
    }

    /// The last invocation of the open window, if none of its records can follow.
    pub(super) fn close_window(&self, lane: usize, now_ms: u64) -> Option<Work> {
        let window = self.window.as_ref()?;
        let over = match self.lanes[lane].head() {
            Some(record) => record.approximate_time_ms >= window.end_ms,
            None => now_ms >= window.end_ms + GRACE_MS,
        };
        let last = Batch { records: Vec::new(), window: self.window.clone(), is_final: true };
        (over || window.is_terminated_early).then(|| Work::new(last))
    }

    /// The window that the next records belong to; late ones belong to the one that is open.
    pub(super) fn open_window(&mut self, lane: usize) -> Option<WindowState> {
        let length_ms = self.settings.tumbling_window_ms?;
        if self.window.is_none() {
            let time_ms = self.lanes[lane].head()?.approximate_time_ms;
            self.window = Some(WindowState::around(time_ms, length_ms));
        }
        self.window.clone()
    }

    /// After a success: the state goes on, or the window is done.
    pub(super) fn advance_window(&mut self, work: &Work, state: Option<Value>) {
        if work.is_final() {
            self.window = None;
            return;
        }
        let (Some(window), Some(state)) = (&mut self.window, state) else { return };
        window.is_terminated_early = state.to_string().len() > MAX_STATE;
        window.state = state;
        // What was split or waits to be retried must see the state as it is now.
        let now = self.window.clone();
        for (work, _) in self.lanes.iter_mut().flat_map(|lane| &mut lane.again) {
            work.batch.window = now.clone();
        }
    }
}
