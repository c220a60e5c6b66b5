//! Lines on standard error, for people or for machines. A line that is written for a traced request names its trace.
//!
//! As JSON, a line is one object: `timestamp`, `level`, `target`, `message`, the event's fields, and `trace_id`.

use std::fmt;
use std::io;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::trace;

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Logs to standard error as far as `filter` says (the syntax of tracing's EnvFilter).
///
/// # Errors
/// The filter is none.
pub fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .event_format(Lines { format, text: Format::default() })
        .finish();
    // Already set only where a test did so.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

struct Lines {
    format: LogFormat,
    text: Format,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        match self.format {
            LogFormat::Json => writeln!(writer, "{}", json_line(event)),
            LogFormat::Text => {
                let Some(traced) = trace::current() else {
                    return self.text.format_event(context, writer, event);
                };
                let mut line = String::new();
                self.text.format_event(context, Writer::new(&mut line), event)?;
                writeln!(writer, "{} trace_id={}", line.trim_end(), trace::trace_id(&traced))
            }
        }
    }
}

fn json_line(event: &Event<'_>) -> Value {
    let mut line = Map::new();
    let mut now = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut now));
    let metadata = event.metadata();
    line.insert("timestamp".to_owned(), now.into());
    line.insert("level".to_owned(), metadata.level().as_str().into());
    line.insert("target".to_owned(), metadata.target().into());
    event.record(&mut Fields(&mut line));
    if let Some(traced) = trace::current() {
        line.insert("trace_id".to_owned(), trace::trace_id(&traced).into());
    }
    Value::Object(line)
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_of_json_has_the_events_fields() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .event_format(Lines { format: LogFormat::Json, text: Format::default() })
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(table = "orders", count = 3, "a \"link\" has\nstopped");
        });
        let bytes = written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "a \"link\" has\nstopped");
        assert_eq!(
            (&line["level"], &line["table"], &line["count"]),
            (&"WARN".into(), &"orders".into(), &3.into())
        );
        assert!(line["timestamp"].is_string() && line.get("trace_id").is_none());
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        assert!(start(LogFormat::Text, "tradewind=loud").is_err());
    }
}
