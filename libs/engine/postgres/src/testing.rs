//! A private PostgreSQL for tests: made by `initdb` in a temporary folder, reached by a socket in it, gone with the value.
//!
//! PostgreSQL does not run as root; then it runs as the user `postgres` (or `nobody`). Should the test die, the server dies with
//! it. `TRADEWIND_TEST_POSTGRES` names an existing server instead, whose user may create databases; what needs to stop or
//! configure a server says that it was not checked.

mod harm;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown, geteuid};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// Names an existing server, as a URL without database.
pub const EXISTING: &str = "TRADEWIND_TEST_POSTGRES";

const MISSING: &str = "PostgreSQL is not installed: install the package postgresql, or name a server in TRADEWIND_TEST_POSTGRES";
/// All of one installation: some have a part of them in the path.
const PROGRAMS: [&str; 5] = ["initdb", "postgres", "pg_isready", "pg_ctl", "pg_basebackup"];

const PATIENCE: Duration = Duration::from_secs(60);
const USER: &str = "tradewind";

/// Small, and with what several databases need.
const SETTINGS: [(&str, &str); 8] = [
    ("listen_addresses", "''"),
    ("shared_buffers", "128MB"),
    ("max_connections", "200"),
    ("max_prepared_transactions", "64"),
    ("max_wal_size", "2GB"),
    ("wal_keep_size", "256MB"),
    ("log_line_prefix", "'%m [%p] %a '"),
    ("logging_collector", "off"),
];

/// A server and its data.
pub struct TestServer {
    bin: PathBuf,
    /// `None` for an existing server.
    folder: Option<TempDir>,
    process: Option<Process>,
    existing: Option<String>,
    /// The folder is a file system of its own.
    is_mounted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Ends every session first.
    Fast,
    /// As in a crash: the next start recovers.
    Immediate,
}

/// The server's process. A thread that lives as long keeps it: it dies with its parent thread.
struct Process {
    pid: Pid,
    ended: Receiver<()>,
}

impl TestServer {
    /// # Panics
    /// Where there is no PostgreSQL, with a line that says what to install.
    pub fn start() -> TestServer {
        TestServer::start_with(&[])
    }

    /// With settings of its own; an existing server is not asked.
    pub fn start_with(settings: &[(&str, &str)]) -> TestServer {
        if let Some(url) = std::env::var(EXISTING).ok().filter(|_| settings.is_empty()) {
            return TestServer {
                bin: PathBuf::new(),
                folder: None,
                process: None,
                existing: Some(url),
                is_mounted: false,
            };
        }
        TestServer::start_in(private_folder(), settings)
    }

    fn start_in(folder: TempDir, settings: &[(&str, &str)]) -> TestServer {
        let bin = find_bin().expect(MISSING);
        let data = folder.path().join("data");
        let init = ["-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"];
        run(Command::new(bin.join("initdb")).args(init).arg(&data));
        let mut lines: Vec<String> =
            SETTINGS.iter().chain(settings).map(|(name, value)| format!("{name} = {value}")).collect();
        lines.push(format!("unix_socket_directories = '{}'", folder.path().display()));
        append(&data.join("postgresql.auto.conf"), &lines.join("\n"));
        let mut server =
            TestServer { bin, folder: Some(folder), process: None, existing: None, is_mounted: false };
        server.resume();
        server
    }

    /// A standby that follows this server, with settings of its own. It has no database that this one has not.
    pub fn standby(&self, name: &str, settings: &[(&str, &str)]) -> TestServer {
        let folder = private_folder();
        let data = folder.path().join("data");
        let copy = ["-U", USER, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-h"];
        run(Command::new(self.bin.join("pg_basebackup")).args(copy).arg(self.folder()).arg("-D").arg(&data));
        let mut lines: Vec<String> =
            settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        lines.push(format!("unix_socket_directories = '{}'", folder.path().display()));
        let primary = format!("host={} user={USER} application_name={name}", self.folder().display());
        lines.push(format!("primary_conninfo = '{primary}'"));
        append(&data.join("postgresql.auto.conf"), &lines.join("\n"));
        let mut server = TestServer {
            bin: self.bin.clone(),
            folder: Some(folder),
            process: None,
            existing: None,
            is_mounted: false,
        };
        server.resume();
        server
    }

    /// True for a server of its own, which may be stopped.
    pub fn is_private(&self) -> bool {
        self.existing.is_none()
    }

    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("a server of its own").path()
    }

    /// Starts it again on its data.
    pub fn resume(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let data = self.folder().join("data");
        let log = std::fs::File::options().create(true).append(true).open(self.folder().join("log"));
        let log = log.expect("its folder is there");
        let mut command = as_server_user(&self.bin.join("postgres"));
        command.arg("-D").arg(data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(spawn(command));
        self.await_ready();
    }

    pub fn stop(&mut self, how: Stop) {
        let Some(process) = self.process.take() else { return };
        let signal = if how == Stop::Fast { Signal::SIGINT } else { Signal::SIGQUIT };
        kill(process.pid, signal).ok();
        if process.ended.recv_timeout(PATIENCE).is_err() {
            kill(process.pid, Signal::SIGKILL).ok();
        }
    }

    /// Makes a standby take writes.
    pub fn promote(&self) {
        let pg_ctl = self.bin.join("pg_ctl");
        run(Command::new(pg_ctl).args(["promote", "-w", "-D"]).arg(self.folder().join("data")));
    }

    /// Removes the data: nothing can be had from it any more.
    pub fn destroy(&mut self) {
        self.stop(Stop::Immediate);
        std::fs::remove_dir_all(self.folder().join("data")).expect("it is ours");
    }

    /// Reads the settings again after a change of the file.
    pub fn set(&self, name: &str, value: &str) {
        append(&self.folder().join("data/postgresql.auto.conf"), &format!("{name} = {value}"));
        let process = self.process.as_ref().expect("it runs");
        kill(process.pid, Signal::SIGHUP).expect("it runs");
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").pid.as_raw().unsigned_abs()
    }

    pub fn url(&self, database: &str) -> String {
        match &self.existing {
            Some(url) => with_database(url, database),
            None => {
                let host = self.folder().display().to_string().replace('/', "%2F");
                format!("postgres://{USER}@{host}/{database}")
            }
        }
    }

    /// Makes a database of its own, and answers its URL.
    pub async fn create_database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tradewind_{}_{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let client = self.client("postgres").await;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("its user may");
        self.url(&name)
    }

    /// A session beside the engine's.
    pub async fn client(&self, database: &str) -> Client {
        client(&self.url(database)).await
    }

    fn await_ready(&mut self) {
        let until = Instant::now() + PATIENCE;
        let mut ready = Command::new(self.bin.join("pg_isready"));
        ready.args(["-q", "-U", USER, "-h"]).arg(self.folder());
        while !ready.status().is_ok_and(|status| status.success()) {
            let gone = self.process.as_ref().is_some_and(|process| process.ended.try_recv().is_ok());
            if gone || Instant::now() > until {
                let log = std::fs::read_to_string(self.folder().join("log")).unwrap_or_default();
                panic!("PostgreSQL did not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop(Stop::Immediate);
        if let Some(folder) = self.folder.as_ref().filter(|_| self.is_mounted) {
            TestServer::unmount(folder.path());
        }
    }
}

/// A session of its own, whose socket is read on the current runtime.
pub async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the server is there");
    tokio::spawn(connection);
    client
}

fn with_database(url: &str, database: &str) -> String {
    let (base, parameters) =
        url.split_once('?').map_or((url, String::new()), |(base, rest)| (base, format!("?{rest}")));
    let authority = base.find("://").map_or(0, |at| at + 3);
    let end = base[authority..].find('/').map_or(base.len(), |at| authority + at);
    format!("{}/{database}{parameters}", &base[..end])
}

/// Where the server's programs are: in the path, or where Debian has them, the newest first.
fn find_bin() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    std::env::split_paths(&path)
        .chain(versions.into_iter().rev())
        .find(|bin| PROGRAMS.iter().all(|program| bin.join(program).exists()))
}

fn private_folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("tradewind-pg-").tempdir().expect("a temporary folder");
    if let Some(user) = server_user() {
        chown(folder.path(), Some(user.uid), Some(user.gid)).expect("root may");
    }
    folder
}

/// Whom to run as, if this is root.
fn server_user() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    let found = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
    Some(found.expect("PostgreSQL does not run as root, and there is no other user"))
}

/// The program as a user it runs as, ended when the thread that starts it ends.
fn as_server_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some(user) = server_user() {
        command
            .arg(format!("--reuid={}", user.uid))
            .arg(format!("--regid={}", user.gid))
            .arg("--clear-groups");
    }
    command.arg("--").arg(program);
    command
}

fn run(command: &mut Command) {
    let mut wrapped = as_server_user(Path::new(command.get_program()));
    wrapped.args(command.get_args()).stdin(Stdio::null()).current_dir("/");
    let output =
        wrapped.output().unwrap_or_else(|error| panic!("setpriv (package util-linux) is needed: {error}"));
    assert!(output.status.success(), "{wrapped:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn spawn(mut command: Command) -> Process {
    let ((started, pid), (end, ended)) = (channel(), channel());
    command.current_dir("/");
    std::thread::spawn(move || {
        let mut child: Child = command.spawn().expect("setpriv is there");
        started.send(child.id()).ok();
        child.wait().ok();
        end.send(()).ok();
    });
    let pid = pid.recv().expect("it starts");
    Process { pid: Pid::from_raw(pid.cast_signed()), ended }
}

fn append(file: &Path, lines: &str) {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    std::fs::write(file, format!("{text}{lines}\n")).expect("root or the owner writes");
}
