//! A function's process with everything it starts: one process group that lives no longer than we do.
//!
//! `unsafe` code is forbidden here, so PR_SET_PDEATHSIG (which also would reach only the direct child) is not to be had.
//! Instead a few lines of shell start a watcher in the new group that reads a pipe of which this process holds the other
//! end, and then become the function. Whatever ends this process closes the pipe, and the watcher kills the group.
//! A function that leaves its group on purpose (setsid) escapes.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::net::unix::pipe;
use tokio::process::{ChildStdin, Command};
use tokio::sync::watch;

use crate::log::Transcript;

/// Descriptor 3 is our pipe. The watcher is started through a subshell, so that the function has no child that it did
/// not start itself; it keeps no other descriptor open.
const WATCHED: &str = "[ $1 -eq 0 ] || ulimit -d $1; shift
exec 3<&0 </dev/null
( ( exec >/dev/null 2>&1; read -r _ <&3; kill -KILL 0 ) & )
exec 3<&- \"$@\"";

/// What to start.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
    pub folder: PathBuf,
    pub variables: BTreeMap<String, String>,
    /// What each process of the function may have of memory that it can write to and shares with nobody (RLIMIT_DATA);
    /// address space alone would say nothing, since runtimes reserve far more than they use.
    pub memory_kb: Option<u64>,
}

pub struct Process {
    group: Pid,
    exited: watch::Receiver<Option<ExitStatus>>,
    outputs: Arc<[Output; 2]>,
    // Closing it ends the group: kept as long as this value.
    _alive: ChildStdin,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    pub fn start(program: &Program, transcript: Arc<Transcript>) -> io::Result<Process> {
        check_executable(&program.path)?;
        let mut child = Command::new("/bin/sh")
            .args(["-c", WATCHED, "function"])
            .arg(program.memory_kb.unwrap_or(0).to_string())
            .arg(&program.path)
            .args(&program.arguments)
            .current_dir(&program.folder)
            .env_clear()
            .envs(&program.variables)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let alive = child.stdin.take().expect("asked for a pipe");
        let stdout = child.stdout.take().expect("asked for a pipe").into_owned_fd()?;
        let stderr = child.stderr.take().expect("asked for a pipe").into_owned_fd()?;
        let outputs = Arc::new([Output::new(stdout, &transcript)?, Output::new(stderr, &transcript)?]);
        for index in 0..2 {
            let outputs = outputs.clone();
            tokio::spawn(async move { outputs[index].follow().await });
        }
        let group = child.id().ok_or_else(|| io::Error::other("process has no id"))?;
        let group = Pid::from_raw(i32::try_from(group).map_err(io::Error::other)?);
        let (exit, exited) = watch::channel(None);
        tokio::spawn(async move {
            let status = child.wait().await.unwrap_or_else(|_| ExitStatus::from_raw(0));
            exit.send_replace(Some(status));
        });
        Ok(Process { group, exited, outputs, _alive: alive })
    }

    /// Kills the whole group at once. The watcher keeps the group's id from being used by others until we let go.
    pub fn kill(&self) {
        // Fails only if nobody is left.
        let _ = killpg(self.group, Signal::SIGKILL);
    }

    pub fn exit_status(&self) -> Option<ExitStatus> {
        *self.exited.borrow()
    }

    /// Waits for the function's own process; others of its group may live on.
    pub async fn exited(&self) -> ExitStatus {
        let mut exited = self.exited.clone();
        let status = exited.wait_for(Option::is_some).await.ok().and_then(|status| *status);
        status.unwrap_or_else(|| ExitStatus::from_raw(0))
    }

    /// Takes into the log whatever the function has written up to now.
    pub fn drain_output(&self) {
        for output in self.outputs.iter() {
            output.take_what_is_there();
        }
    }
}

/// The shell's own complaint about a missing program would be hard to read.
fn check_executable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if !path.is_absolute() {
        return Ok(());
    }
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "is not an executable file"));
    }
    Ok(())
}

/// Standard output or error, read by its follower and, so that an invocation's log is whole, by who finishes one.
struct Output {
    pipe: pipe::Receiver,
    transcript: Arc<Transcript>,
}

impl Output {
    fn new(pipe: OwnedFd, transcript: &Arc<Transcript>) -> io::Result<Output> {
        Ok(Output { pipe: pipe::Receiver::from_owned_fd(pipe)?, transcript: transcript.clone() })
    }

    async fn follow(&self) {
        while self.pipe.readable().await.is_ok() && !self.take_what_is_there() {}
    }

    /// Says whether the pipe has ended.
    fn take_what_is_there(&self) -> bool {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.pipe.try_read(&mut buffer) {
                Ok(0) => return true,
                Ok(size) => self.transcript.append(&buffer[..size]),
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }
}

/// As Lambda words it: `exit status 1`, `signal: killed`.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal().and_then(|number| Signal::try_from(number).ok())) {
        (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
        (None, Some(signal)) => {
            let name = match signal {
                Signal::SIGKILL => "killed",
                Signal::SIGSEGV => "segmentation fault",
                Signal::SIGABRT => "aborted",
                Signal::SIGTERM => "terminated",
                other => other.as_str(),
            };
            format!("Runtime exited with error: signal: {name}")
        }
        (None, None) => "Runtime exited with error: unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_group_ends_when_the_pipe_does_as_if_we_had_been_killed() {
        let mut child = Command::new("/bin/sh")
            .args(["-c", WATCHED, "function", "0", "/bin/sh", "-c", "sleep 1000 & echo $!; wait"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines =
            tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.take().unwrap()));
        let grandchild = lines.next_line().await.unwrap().unwrap();
        drop(child.stdin.take());
        assert_eq!(child.wait().await.unwrap().signal(), Some(9));
        // Its end closes the last copy of standard output.
        assert_eq!(lines.next_line().await.unwrap(), None, "{grandchild} lives on");
    }
}
