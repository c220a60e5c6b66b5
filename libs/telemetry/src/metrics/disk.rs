//! How full the file system is on which data lies: told before it is full, when there is still time to do something.

use std::path::Path;

use super::{Sample, declared};

/// Less than this share of a file system free is worth a word.
const SCARCE: f64 = 0.1;

/// Of one file system, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disk {
    pub free: u64,
    pub size: u64,
}

impl Disk {
    /// `None` where the system cannot tell.
    pub fn of(path: &Path) -> Option<Disk> {
        let stat = nix::sys::statvfs::statvfs(path).ok()?;
        let fragment = stat.fragment_size();
        Some(Disk { free: stat.blocks_available() * fragment, size: stat.blocks() * fragment })
    }

    /// What an operator should know of it, if there is little left.
    pub fn warning(self, path: &Path) -> Option<String> {
        let is_scarce = (self.free as f64) < self.size as f64 * SCARCE;
        let (free, size) = (self.free >> 20, self.size >> 20);
        is_scarce.then(|| format!("{} is nearly full: {free} of {size} MiB are free", path.display()))
    }

    pub fn samples(self, path: &Path, out: &mut Vec<Sample>) {
        let path = path.display().to_string();
        out.push(Sample::new(&declared::DISK_FREE, &[&path], self.free as f64));
        out.push(Sample::new(&declared::DISK_SIZE, &[&path], self.size as f64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nearly_full_disk_says_so_before_it_is_full() {
        let path = Path::new("/data");
        assert_eq!(Disk { free: 20 << 30, size: 100 << 30 }.warning(path), None);
        let warning = Disk { free: 5 << 30, size: 100 << 30 }.warning(path);
        assert_eq!(warning.as_deref(), Some("/data is nearly full: 5120 of 102400 MiB are free"));
    }

    #[test]
    fn a_real_file_system_answers() {
        let disk = Disk::of(Path::new("/")).unwrap();
        assert!(disk.free > 0 && disk.size >= disk.free);
    }
}
