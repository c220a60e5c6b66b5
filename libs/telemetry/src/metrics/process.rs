//! What the process itself takes: memory, processor time, descriptors. Names and units are those of Prometheus' clients.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};

use super::{Sample, declared};

/// As near to the start as the first who asks.
static STARTED_S: LazyLock<f64> =
    LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()));

/// Notes when the process started.
pub fn started() {
    LazyLock::force(&STARTED_S);
}

pub fn samples(out: &mut Vec<Sample>) {
    let mut add = |metric, value: Option<f64>| {
        out.extend(value.map(|value| Sample::new(metric, &[], value)));
    };
    add(&declared::RESIDENT_MEMORY, status("VmRSS:").map(|kib| kib * 1024.0));
    add(&declared::THREADS, status("Threads:"));
    add(&declared::CPU_SECONDS, cpu_seconds());
    add(&declared::OPEN_FDS, std::fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count() as f64));
    add(&declared::MAX_FDS, getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft as f64));
    add(&declared::START_TIME, Some(*STARTED_S));
    out.push(Sample::new(&declared::BUILD, &[env!("CARGO_PKG_VERSION")], 1.0));
}

/// A number of `/proc/self/status`.
fn status(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Some(seconds(usage.user_time()) + seconds(usage.system_time()))
}
