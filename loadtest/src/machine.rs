//! What the server takes of this machine, if it runs here: CPU and memory of the process that listens on the endpoint's
//! port, from /proc; and this process's own CPU, as it shares the cores.

use std::collections::BTreeSet;
use std::fs;

use crate::client::Endpoint;

/// USER_HZ, which Linux gives as 100 to programs whatever its own clock.
const TICKS_PER_SECOND: f64 = 100.0;
const LISTENING: &str = "0A";

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU seconds of all threads since the processes began.
    pub cpu_s: f64,
    pub memory_mib: f64,
}

pub struct Server {
    pids: BTreeSet<u32>,
}

impl Server {
    /// `None` if no endpoint is local, or its process is not ours to see.
    pub fn find<'a>(endpoints: impl Iterator<Item = &'a Endpoint>) -> Option<Server> {
        let ports: BTreeSet<u16> = endpoints.filter_map(Endpoint::local_port).collect();
        let sockets: BTreeSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .flat_map(|table| listening(&table, &ports))
            .collect();
        let pids: BTreeSet<u32> = processes().filter(|pid| has_socket(*pid, &sockets)).collect();
        (!pids.is_empty()).then_some(Server { pids })
    }

    pub fn usage(&self) -> Usage {
        let each = self.pids.iter().filter_map(|pid| usage(&pid.to_string()));
        each.fold(Usage::default(), |sum, one| Usage {
            cpu_s: sum.cpu_s + one.cpu_s,
            memory_mib: sum.memory_mib + one.memory_mib,
        })
    }
}

/// This process.
pub fn own_usage() -> Usage {
    usage("self").unwrap_or_default()
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

pub fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or_else(String::new, |(_, name)| name.trim().to_owned())
}

/// The inodes of sockets that listen on one of the ports, from a table of /proc/net.
fn listening(table: &str, ports: &BTreeSet<u16>) -> Vec<String> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let port = u16::from_str_radix(address.rsplit(':').next()?, 16).ok()?;
        (*state == LISTENING && ports.contains(&port)).then(|| format!("socket:[{inode}]"))
    };
    table.lines().skip(1).filter_map(socket).collect()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn has_socket(pid: u32, sockets: &BTreeSet<String>) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
}

fn usage(pid: &str) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = resident.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0.0);
    Some(Usage { cpu_s: cpu_seconds(&stat)?, memory_mib: kib / 1024.0 })
}

/// User and system time, the 14th and 15th field; the second, the name, may itself have spaces and parentheses.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let after_name = stat.rsplit_once(')')?.1;
    let mut times = after_name.split_whitespace().skip(11);
    let ticks = times.next()?.parse::<f64>().ok()? + times.next()?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_found_by_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0\n\
             1: 0100007F:1F40 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0\n\
             2: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4244 1 0\n";
        assert_eq!(listening(table, &BTreeSet::from([8000])), ["socket:[4242]"]);
    }

    #[test]
    fn a_process_name_may_look_like_fields() {
        let stat = "7 (a) b (c) S 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 5 0 0";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_takes_memory() {
        assert!(own_usage().memory_mib > 1.0);
    }
}
