//! What a test does to its server: a disk that is full, processes that stand still.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use super::{TestServer, private_folder, server_user};

/// In a server's folder: takes all the room there is.
const BALLAST: &str = "ballast";

/// Little is kept of the log, so that a small disk has room for it.
const SMALL: [(&str, &str); 4] =
    [("wal_keep_size", "0"), ("min_wal_size", "32MB"), ("max_wal_size", "48MB"), ("max_connections", "60")];

impl TestServer {
    /// Its data lie on a file system of their own of this size. `None`, said on standard error, where that may not be mounted.
    pub fn start_small(megabytes: u32) -> Option<TestServer> {
        let folder = private_folder();
        let (uid, gid) = server_user().map_or((0, 0), |user| (user.uid.as_raw(), user.gid.as_raw()));
        let options = format!("size={megabytes}m,mode=700,uid={uid},gid={gid}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path());
        if !geteuid().is_root() || !mount.output().is_ok_and(|mounted| mounted.status.success()) {
            eprintln!("SKIPPED: a full disk was not checked: no file system can be mounted here");
            return None;
        }
        let mut server = TestServer::start_in(folder, &SMALL);
        server.is_mounted = true;
        Some(server)
    }

    pub(super) fn unmount(folder: &Path) {
        // Lazily: what still has a file open keeps no test waiting.
        Command::new("umount").arg("-l").arg(folder).status().ok();
    }

    /// Nothing more can be written.
    pub fn fill(&self) {
        let mut ballast = File::create(self.folder().join(BALLAST)).expect("it was not filled before");
        let block = vec![0; 64 * 1024];
        while ballast.write_all(&block).is_ok() {}
        while ballast.write_all(&block[..512]).is_ok() {}
    }

    /// There is room again. A server that gave up meanwhile is started, as by whatever watches it.
    pub fn free(&mut self) {
        std::fs::remove_file(self.folder().join(BALLAST)).expect("it was filled");
        if self.process.as_ref().is_some_and(|process| process.ended.try_recv().is_ok()) {
            self.process = None;
            self.resume();
        }
    }

    /// None of its processes goes on. It still accepts connections, as the kernel does that.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// The first process stops first, so that it starts no other meanwhile.
    fn signal(&self, signal: Signal) {
        let first = Pid::from_raw(self.pid().cast_signed());
        kill(first, signal).expect("it runs");
        let processes = std::fs::read_dir("/proc").expect("this is Linux").flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        for id in ids.filter(|id| parent(*id) == Some(first.as_raw())) {
            kill(Pid::from_raw(id), signal).ok();
        }
    }
}

/// The fourth word of `stat`, behind a name in parentheses that may contain anything.
fn parent(process: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
