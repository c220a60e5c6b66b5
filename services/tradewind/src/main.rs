//! The one binary: `dev` runs regions in this process, `storage`, `streams` and `replicator` a node of a region; the other
//! commands ask a running one.

mod arguments;
mod credentials;
mod dev;
mod healthcheck;
mod link;
mod loadtest;
mod replicator;
mod secrets;
mod storage;
mod store;
mod streams;
mod threads;
mod tools;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Dev(settings) => dev::run(settings),
        Command::Storage(settings) => storage::run(*settings),
        Command::Replicator(settings) => replicator::run(*settings),
        Command::Streams(settings) => streams::run(*settings),
        Command::Credentials(command) => credentials::run(&command),
        Command::Secrets(command) => secrets::run(&command),
        Command::Healthcheck(settings) => healthcheck::run(&settings),
        Command::Tables(query) => tools::tables(&query),
        Command::Conflicts(command) => tools::conflicts(&command),
        Command::Replication(command) => tools::replication(&command),
        Command::Chaos(command) => tools::chaos(&command),
        Command::Verify(command) => match tools::verify(&command) {
            Ok(false) => return ExitCode::FAILURE,
            verified => verified.map(|_| ()),
        },
        Command::Function(command) => tools::function(&command),
        Command::LoadTest(command) => loadtest::run(&command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tradewind: {error:#}");
            ExitCode::FAILURE
        }
    }
}
