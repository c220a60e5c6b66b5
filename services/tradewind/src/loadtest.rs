//! `tradewind loadtest`: credentials from AWS's environment variables, and where this program is.

use anyhow::Context;
use tradewind_iam::{Credentials, Secret};
use tradewind_loadtest::{LoadTest, Surroundings};

pub fn run(command: &LoadTest) -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    // Endpoints that verify no signature accept any.
    let id = variable("AWS_ACCESS_KEY_ID").unwrap_or_else(|| "loadtest".to_owned());
    let secret = variable("AWS_SECRET_ACCESS_KEY").unwrap_or_else(|| "loadtest".to_owned());
    let mut credentials = Credentials::new(id, Secret::new(secret));
    if let Some(token) = variable("AWS_SESSION_TOKEN") {
        credentials = credentials.with_session_token(Secret::new(token));
    }
    let program = std::env::current_exe().context("where is this program?")?;
    tradewind_loadtest::execute(command, &Surroundings { credentials, program })
}
