//! The threads of a process: current-thread runtimes for requests, one for each core that the committers leave.

use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;

pub struct DataThreads {
    pub handles: Arc<[Handle]>,
    stop: CancellationToken,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl DataThreads {
    pub fn start() -> anyhow::Result<DataThreads> {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let stop = CancellationToken::new();
        let runtimes: Vec<Runtime> = (0..cores.saturating_sub(1).max(1))
            .map(|_| Builder::new_current_thread().enable_all().build())
            .collect::<Result<_, _>>()?;
        let handles = runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
        let spawn = |runtime: Runtime| {
            let stop = stop.clone();
            let thread = std::thread::Builder::new().name("tradewind-data".to_owned());
            thread.spawn(move || runtime.block_on(stop.cancelled()))
        };
        let threads = runtimes.into_iter().map(spawn).collect::<Result<_, _>>()?;
        Ok(DataThreads { handles, stop, threads })
    }

    pub fn stop(self) {
        self.stop.cancel();
        self.threads.into_iter().for_each(|thread| thread.join().expect("a data thread does not panic"));
    }
}
