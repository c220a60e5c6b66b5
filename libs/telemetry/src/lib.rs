//! What operators see: metrics, traces, and structured logs on standard error. Secrets and item data stay out of them.

pub mod insights;
pub mod log;
pub mod metrics;
pub mod trace;

/// Logs text to standard error, as far as `TRADEWIND_LOG` asks for: what commands do that are no services.
pub fn log_to_stderr() {
    let filter = std::env::var("TRADEWIND_LOG").unwrap_or_default();
    let filter = if filter.is_empty() { "warn" } else { &filter };
    if log::start(log::LogFormat::Text, filter).is_err() {
        let _ = log::start(log::LogFormat::Text, "warn");
    }
}
