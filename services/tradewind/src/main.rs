//! The one binary: `dev` runs regions in this process; the other commands ask a running one.

mod arguments;
mod dev;
mod tools;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Dev(settings) => dev::run(settings),
        Command::Tables(query) => tools::tables(&query),
        Command::Conflicts(command) => tools::conflicts(&command),
        Command::Replication(command) => tools::replication(&command),
        Command::Function(command) => tools::function(&command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tradewind: {error:#}");
            ExitCode::FAILURE
        }
    }
}
