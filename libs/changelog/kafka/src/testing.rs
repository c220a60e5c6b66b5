//! A real broker for tests: Apache Kafka as one process on loopback, by `tests/kafka/run.sh`.
//!
//! It ends with the process that started it, however that ends: it holds the broker's standard input open.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

/// Names a broker that is there already, which tests then use instead of one of their own.
const EXISTING: &str = "TRADEWIND_TEST_KAFKA";
/// A broker answers after two seconds on an idle machine.
const START: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A broker that lives as long as this value.
pub struct Broker {
    address: String,
    own: Option<Own>,
}

struct Own {
    folder: PathBuf,
    port: u16,
    controller: u16,
    process: Option<Child>,
}

impl Broker {
    /// The broker that the environment names, or one with its data in `folder`, once it answers.
    pub fn start(folder: &Path) -> io::Result<Broker> {
        if let Ok(address) = std::env::var(EXISTING) {
            return Ok(Broker { address, own: None });
        }
        let (port, controller) = (free_port()?, free_port()?);
        let own = Own { folder: folder.to_owned(), port, controller, process: None };
        let mut broker = Broker { address: format!("127.0.0.1:{port}"), own: Some(own) };
        broker.resume()?;
        Ok(broker)
    }

    /// For `bootstrap.servers`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether it may be killed.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Kills it as a power cut would, apart from what the system had not written out.
    pub fn kill(&mut self) -> io::Result<()> {
        let Some(own) = &mut self.own else { return Err(io::Error::other("not this process's broker")) };
        let Some(mut process) = own.process.take() else { return Ok(()) };
        kill(own.broker()?, Signal::SIGKILL)?;
        // Ends its wrapper too.
        drop(process.stdin.take());
        process.wait().map(|_| ())
    }

    /// Starts it, or starts it again with the same address and data, and waits until it answers.
    pub fn resume(&mut self) -> io::Result<()> {
        let Some(own) = &mut self.own else { return Err(io::Error::other("not this process's broker")) };
        own.start()?;
        let began = Instant::now();
        while !answers(&self.address) {
            let ended = own.process.as_mut().is_none_or(|process| !matches!(process.try_wait(), Ok(None)));
            if ended || began.elapsed() > START {
                return Err(io::Error::other(format!("no broker came up; see {}", own.folder.display())));
            }
        }
        Ok(())
    }
}

impl Own {
    fn start(&mut self) -> io::Result<()> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/kafka/run.sh");
        // A stale one would name a process that is somebody else's by now.
        let _ = std::fs::remove_file(self.folder.join("pid"));
        let mut command = Command::new(script);
        command.arg(&self.folder).args([self.port.to_string(), self.controller.to_string()]);
        command.arg("--until-stdin-closes").stdin(Stdio::piped()).stdout(Stdio::null());
        self.process = Some(command.spawn()?);
        Ok(())
    }

    fn broker(&self) -> io::Result<Pid> {
        let text = std::fs::read_to_string(self.folder.join("pid"))?;
        text.trim().parse().map(Pid::from_raw).map_err(io::Error::other)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        drop(process.stdin.take());
        let began = Instant::now();
        while matches!(process.try_wait(), Ok(None)) {
            if began.elapsed() > STOP {
                let _ = self.broker().map(|broker| kill(broker, Signal::SIGKILL));
                let _ = process.wait();
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn answers(address: &str) -> bool {
    let consumer: Result<BaseConsumer, _> =
        ClientConfig::new().set("bootstrap.servers", address).set("log_level", "0").create();
    let found = consumer.and_then(|consumer| consumer.fetch_metadata(None, Duration::from_secs(1)));
    if found.is_err() {
        std::thread::sleep(LOOK_AGAIN);
    }
    found.is_ok()
}
