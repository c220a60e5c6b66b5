//! No answer and no visible row before the fdatasync of its batch, seen from outside: by the system calls.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "subjects/example.rs"]
mod example;

use std::collections::{BTreeSet, HashMap};
use std::process::Command;

const BATCHES: u32 = 50;

#[test]
fn nothing_is_acknowledged_or_seen_before_it_is_synced() {
    let Some(trace) = trace(&[]) else { return };
    let lines = Checked::of(&trace).unwrap_or_else(|broken| panic!("{broken}"));
    let expected = (0..BATCHES).flat_map(|i| [format!("acked {i}"), format!("seen {i}")]);
    assert_eq!(lines.said, expected.collect());
}

/// The check above is worth something only if it can fail.
#[test]
fn the_check_fails_without_syncs() {
    let Some(trace) = trace(&["--no-sync"]) else { return };
    let broken = Checked::of(&trace).err().expect("nothing was synced");
    assert!(broken.contains(" 0 before its sync"), "from the first batch on: {broken}");
}

/// Runs the example under strace; `None` where there is none.
fn trace(flags: &[&str]) -> Option<String> {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("SKIPPED: strace is not installed, so the order of system calls was not checked");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("trace");
    let ran = Command::new("strace")
        .args(["-f", "-y", "-s", "65536", "-e", "trace=fdatasync,fsync,write,pwrite64,writev", "-o"])
        .arg(&log)
        .arg(example::program("durable_commits"))
        .arg(folder.path().join("region"))
        .arg(BATCHES.to_string())
        .args(flags)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    Some(std::fs::read_to_string(log).unwrap())
}

/// What the trace has shown so far, line by line.
#[derive(Default)]
struct Checked {
    /// Batches whose row is in the journal by a write that has returned.
    written: BTreeSet<u32>,
    /// Those of which a sync that began afterwards has returned.
    synced: BTreeSet<u32>,
    /// By thread: the beginning of a call that strace has shown as unfinished, and what was written when it began.
    unfinished: HashMap<String, (String, BTreeSet<u32>)>,
    said: BTreeSet<String>,
}

impl Checked {
    fn of(trace: &str) -> Result<Checked, String> {
        let mut checked = Checked::default();
        for line in trace.lines() {
            let (thread, call) = line.split_once(' ').unwrap();
            checked.see(thread, call.trim_start())?;
        }
        Ok(checked)
    }

    fn see(&mut self, thread: &str, call: &str) -> Result<(), String> {
        if let Some(begun) = call.strip_suffix("<unfinished ...>") {
            // A line counts from when it begins to be said.
            self.check_said(begun)?;
            self.unfinished.insert(thread.to_owned(), (begun.to_owned(), self.written.clone()));
        } else if let Some((_, end)) = call.strip_prefix("<... ").and_then(|call| call.split_once('>')) {
            let (begun, written) = self.unfinished.remove(thread).unwrap();
            self.finish(&(begun + end), &written);
        } else {
            self.check_said(call)?;
            self.finish(call, &self.written.clone());
        }
        Ok(())
    }

    fn finish(&mut self, call: &str, written_before: &BTreeSet<u32>) {
        let succeeded = !call.contains(") = -1");
        if !call.contains(".jnl>") || !succeeded {
            return;
        }
        if call.starts_with("fdatasync(") || call.starts_with("fsync(") {
            self.synced.extend(written_before);
        } else {
            self.written.extend(batches_in(call));
        }
    }

    fn check_said(&mut self, call: &str) -> Result<(), String> {
        let said = call.split_once('"').filter(|_| call.starts_with("write(1<")).map(|(_, said)| said);
        let Some((said, _)) = said.and_then(|said| said.split_once("\\n")) else { return Ok(()) };
        let batch: u32 = said.split_once(' ').unwrap().1.parse().unwrap();
        if !self.synced.contains(&batch) {
            return Err(format!("{said} before its sync: {call}"));
        }
        self.said.insert(said.to_owned());
        Ok(())
    }
}

fn batches_in(call: &str) -> impl Iterator<Item = u32> {
    call.split("batch-").skip(1).map(|rest| rest[..6].parse().unwrap())
}
