//! `tradewind loadtest`: loads regional endpoints that speak DynamoDB's protocol, measures them, and then checks that
//! nothing that was acknowledged was lost.
//!
//! ```text
//! scenario ─► setup ─► senders: schedule → operation → client ─► ledger ─┐
//!                      probes, tails, function                           ├─► checks ─► report
//!                      once a second: figures ─► timeline ───────────────┘
//! ```

mod arguments;
mod client;
mod figures;
mod function;
mod history;
mod item;
mod keys;
mod ledger;
mod limits;
mod live;
mod load;
mod machine;
mod operation;
mod pace;
mod page;
mod perform;
mod probe;
mod report;
mod run;
mod scenario;
mod senders;
mod setup;
mod span;
mod stage;
mod summary;
mod tail;
mod verify;

use anyhow::{Context, bail};

pub use arguments::LoadTest;
pub use run::Surroundings;

use arguments::Command;
use report::Report;

/// Does what the command line says.
///
/// # Errors
/// What could not be done; also a run whose check failed.
pub fn execute(command: &LoadTest, surroundings: &Surroundings) -> anyhow::Result<()> {
    match &command.command {
        Command::Run(options) => match run::run(options, surroundings)? {
            true => Ok(()),
            false => bail!("the check failed"),
        },
        Command::List => {
            println!("{}", summary::list()?);
            Ok(())
        }
        Command::Compare { before, after } => {
            println!("{}", summary::compare(&Report::read(before)?, &Report::read(after)?));
            Ok(())
        }
        Command::Receive { report_to, runtime_api } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(function::receive(runtime_api, *report_to)).context("the function")
        }
    }
}
