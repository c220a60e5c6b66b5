//! What functions leave behind in this process: their logs, the history of their invocations, and their numbers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use crate::history::History;
use crate::log::FunctionLog;
use crate::metrics::{FunctionMetrics, Metrics};

/// One function's.
#[derive(Default)]
pub struct Page {
    pub log: Arc<FunctionLog>,
    pub history: History,
    pub metrics: Arc<FunctionMetrics>,
}

#[derive(Default)]
pub struct Journal {
    pages: Mutex<HashMap<String, Arc<Page>>>,
    pinned: Mutex<HashSet<String>>,
    metrics: Arc<Metrics>,
}

impl Journal {
    /// A function's page; an empty one for a function that never ran here.
    pub fn page(&self, function: &str) -> Arc<Page> {
        let mut pages = self.pages.lock().expect("no panic while held");
        if let Some(page) = pages.get(function) {
            return page.clone();
        }
        let page = Arc::new(Page { metrics: self.metrics.function(function), ..Page::default() });
        pages.insert(function.to_owned(), page.clone());
        page
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// A function that this process registered itself: it is in no catalogue, and stays.
    pub fn pin(&self, function: &str) {
        self.pinned.lock().expect("no panic while held").insert(function.to_owned());
    }

    /// Drops what belongs to functions that are no more.
    pub fn keep(&self, keep: impl Fn(&str) -> bool) {
        let pinned = self.pinned.lock().expect("no panic while held").clone();
        let keep = |name: &str| pinned.contains(name) || keep(name);
        self.pages.lock().expect("no panic while held").retain(|name, _| keep(name));
        self.metrics.keep_functions(keep);
    }
}
