//! What operators see: metrics, and structured logs on standard error. Secrets and item data stay out of them.

pub mod insights;
pub mod metrics;

use tracing_subscriber::EnvFilter;

/// Logs to standard error, as far as `TRADEWIND_LOG` asks for (the syntax of tracing's EnvFilter; default: warnings).
pub fn log_to_stderr() {
    metrics::started();
    let filter = EnvFilter::try_from_env("TRADEWIND_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Already set only where a test did so.
    let _ = subscriber.try_init();
}
