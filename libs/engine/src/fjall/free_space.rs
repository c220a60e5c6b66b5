//! Refuses writes before the disk is full.
//!
//! A write or flush that runs into the end of the disk poisons fjall until the process is started again. So the
//! committer asks the file system first, and refuses while there is too little: then nothing is lost, reads go on, and
//! writes go on as soon as there is space again.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Asking costs a system call; nobody fills the reserve within this time and these bytes.
const ASK_EVERY: Duration = Duration::from_millis(100);
const ASK_AFTER_BYTES: u64 = 8 * 1024 * 1024;

type Probe = Box<dyn FnMut() -> io::Result<u64> + Send>;

pub struct FreeSpace {
    dir: PathBuf,
    probe: Probe,
    reserve_bytes: u64,
    asked: Option<Instant>,
    written_since: u64,
    refusal: Option<String>,
}

impl FreeSpace {
    pub fn of(dir: &Path, reserve_bytes: u64) -> FreeSpace {
        let path = dir.to_owned();
        Self::with_probe(dir, reserve_bytes, Box::new(move || free_bytes(&path)))
    }

    fn with_probe(dir: &Path, reserve_bytes: u64, probe: Probe) -> FreeSpace {
        FreeSpace { dir: dir.to_owned(), probe, reserve_bytes, asked: None, written_since: 0, refusal: None }
    }

    /// Answers why `bytes` may not be written now, if so. `pending_bytes` tells what will be written anyway.
    pub fn check(&mut self, bytes: u64, pending_bytes: impl FnOnce() -> u64) -> Result<(), String> {
        self.written_since += bytes;
        let recent = self.asked.is_some_and(|at| at.elapsed() < ASK_EVERY);
        if self.refusal.is_some() || !recent || self.written_since >= ASK_AFTER_BYTES {
            self.ask(bytes.saturating_add(pending_bytes()));
        }
        self.refusal.clone().map_or(Ok(()), Err)
    }

    /// What to say after an error that may have come from a full disk.
    pub fn explain(&mut self) -> Option<String> {
        self.ask(0);
        self.refusal.clone()
    }

    fn ask(&mut self, bytes: u64) {
        self.asked = Some(Instant::now());
        self.written_since = 0;
        let needed = self.reserve_bytes.saturating_add(bytes);
        // A file system that cannot tell is no reason to refuse: the write itself will say what is wrong.
        let free = (self.probe)().unwrap_or(u64::MAX);
        let was_refusing = self.refusal.is_some();
        self.refusal = (free < needed).then(|| {
            format!("disk full: {} has {free} bytes free and {needed} are needed", self.dir.display())
        });
        match (&self.refusal, was_refusing) {
            (Some(reason), false) => tracing::error!("writes are refused: {reason}"),
            (None, true) => tracing::info!("writes go on: {} has space again", self.dir.display()),
            _ => {}
        }
    }
}

fn free_bytes(dir: &Path) -> io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(dir)?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    fn disk(free: u64) -> (Arc<AtomicU64>, FreeSpace) {
        let free = Arc::new(AtomicU64::new(free));
        let probe = free.clone();
        let space =
            FreeSpace::with_probe(Path::new("/data"), 1000, Box::new(move || Ok(probe.load(Relaxed))));
        (free, space)
    }

    #[test]
    fn a_nearly_full_disk_refuses_and_names_the_directory() {
        let (_, mut space) = disk(999);
        assert_eq!(
            space.check(0, || 0),
            Err("disk full: /data has 999 bytes free and 1000 are needed".to_owned())
        );
    }

    #[test]
    fn writes_go_on_once_there_is_space_again() {
        let (free, mut space) = disk(999);
        space.check(0, || 0).unwrap_err();
        free.store(2000, Relaxed);
        space.check(0, || 0).unwrap();
    }

    #[test]
    fn pending_bytes_and_the_batch_itself_count() {
        let (_, mut space) = disk(1500);
        space.check(500, || 0).unwrap();
        let (_, mut space) = disk(1500);
        space.check(0, || 501).unwrap_err();
        let (_, mut space) = disk(1500);
        space.check(501, || 0).unwrap_err();
    }

    #[test]
    fn many_bytes_within_a_moment_ask_again() {
        let (free, mut space) = disk(u64::MAX);
        space.check(1, || 0).unwrap();
        free.store(0, Relaxed);
        space.check(ASK_AFTER_BYTES, || 0).unwrap_err();
    }

    #[test]
    fn a_real_file_system_answers() {
        assert!(free_bytes(Path::new("/")).unwrap() > 0);
    }
}
