//! What a service tells of itself: how its log looks, and where its traces go.

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use tradewind_telemetry::log::{self, LogFormat};
use tradewind_telemetry::{metrics, trace};

#[derive(Args, Clone, Debug)]
pub struct Telemetry {
    /// What is logged: a level, or levels by part of the program, as `warn,tradewind_replication=debug`
    #[arg(long, env = "TRADEWIND_LOG", value_name = "FILTER", default_value = "warn")]
    pub log: String,
    /// How lines of the log look
    #[arg(long, env = "TRADEWIND_LOG_FORMAT", value_enum, default_value_t = Form::Text)]
    pub log_format: Form,
    /// The collector that gets traces, by OTLP over gRPC: http://HOST:4317 [default: what OTEL_EXPORTER_OTLP_ENDPOINT says;
    /// else nothing is traced]
    #[arg(long, env = "TRADEWIND_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Of requests whose caller did not decide by a `traceparent`, the share that is traced: 0 to 1
    #[arg(long, env = "TRADEWIND_TRACE_RATIO", value_name = "SHARE", default_value_t = 0.01)]
    pub trace_ratio: f64,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Text,
    Json,
}

impl Telemetry {
    /// Begins to log and, if it is asked for, to trace under this service's name. Inside a Tokio runtime; what it gives back
    /// lives as long as that.
    pub fn start(&self, service: &'static str) -> anyhow::Result<Option<trace::Exporting>> {
        metrics::started();
        let format = match self.log_format {
            Form::Text => LogFormat::Text,
            Form::Json => LogFormat::Json,
        };
        // Empty where a file of settings leaves it open.
        let filter = if self.log.is_empty() { "warn" } else { &self.log };
        log::start(format, filter).map_err(|error| anyhow!("--log {filter}: {error}"))?;
        if !(0.0..=1.0).contains(&self.trace_ratio) {
            bail!("--trace-ratio {}: a share from 0 to 1", self.trace_ratio);
        }
        let Some(endpoint) = self.endpoint() else { return Ok(None) };
        let settings = trace::Settings { endpoint: endpoint.clone(), ratio: self.trace_ratio, service };
        let exporting = trace::start(&settings);
        exporting.map(Some).map_err(|error| anyhow!("--otlp-endpoint {endpoint}: {error}"))
    }

    fn endpoint(&self) -> Option<String> {
        let named = |text: &String| !text.is_empty();
        let given = self.otlp_endpoint.clone().filter(named);
        given.or_else(|| std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok().filter(named))
    }
}
