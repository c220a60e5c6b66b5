//! Traces: one from a client's write to the function that it triggers in another region.
//!
//! A write's context (trace id, span id, flags) travels in its change: through the log, over links and to functions. Each
//! of them makes its span a child of what it was given and hands on its own. W3C Trace Context is what clients send and
//! functions get; spans go out by OTLP.
//!
//! Where nobody collects, all of it is a look at a flag ([`is_on`]). A context is made only for what is sampled: so a
//! change that carries one is traced everywhere, and nothing else costs anything.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::{
    SpanBuilder, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

pub use opentelemetry::trace::SpanKind;

/// Trace id, span id and flags of W3C Trace Context.
pub type Context = [u8; 25];

const SAMPLED: u8 = 1;
/// The process ends after this, whether or not all spans are out.
const FLUSH: Duration = Duration::from_secs(2);

static ON: AtomicBool = AtomicBool::new(false);
static TRACING: OnceLock<Tracing> = OnceLock::new();

struct Tracing {
    tracer: SdkTracer,
    /// Of requests whose caller did not decide.
    ratio: f64,
}

/// Where spans go.
#[derive(Clone, Debug)]
pub struct Settings {
    /// OTLP over gRPC: `http://HOST:4317`.
    pub endpoint: String,
    /// The share of requests that are traced where their callers did not decide: 0 to 1.
    pub ratio: f64,
    /// `service.name` of the spans.
    pub service: &'static str,
}

/// Sends what is left when dropped.
pub struct Exporting(SdkTracerProvider);

impl Drop for Exporting {
    fn drop(&mut self) {
        ON.store(false, Ordering::Relaxed);
        // A collector that is away takes nothing, and there is nobody to tell.
        let _ = self.0.shutdown_with_timeout(FLUSH);
    }
}

/// From now on what is sampled is traced; once in a process, inside a Tokio runtime.
///
/// # Errors
/// The endpoint is none.
pub fn start(settings: &Settings) -> Result<Exporting, String> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&settings.endpoint)
        .build()
        .map_err(|error| error.to_string())?;
    let resource = Resource::builder().with_service_name(settings.service).build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        // Whether to sample is decided here, before a span is made.
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource)
        .build();
    let tracing = Tracing { tracer: provider.tracer("tradewind"), ratio: settings.ratio };
    if TRACING.set(tracing).is_err() {
        return Err("traces are exported already".to_owned());
    }
    ON.store(true, Ordering::Relaxed);
    Ok(Exporting(provider))
}

/// Whether anything is traced in this process.
#[inline]
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

fn tracing() -> Option<&'static Tracing> {
    if is_on() { TRACING.get() } else { None }
}

/// Something that takes time; it ends when it is dropped.
pub struct Span(opentelemetry_sdk::trace::Span);

impl Span {
    /// What its children and other processes have to know of it.
    pub fn context(&self) -> Context {
        use opentelemetry::trace::Span as _;
        let context = self.0.span_context();
        let mut bytes = [0; 25];
        bytes[..16].copy_from_slice(&context.trace_id().to_bytes());
        bytes[16..24].copy_from_slice(&context.span_id().to_bytes());
        bytes[24] = context.trace_flags().to_u8();
        bytes
    }

    /// An attribute, by its name in the semantic conventions. Never a value of an item.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        use opentelemetry::trace::Span as _;
        self.0.set_attribute(KeyValue::new(name, value));
    }

    /// It did not succeed.
    pub fn fail(&mut self, error_type: impl Into<String>) {
        use opentelemetry::trace::Span as _;
        let error_type = error_type.into();
        self.0.set_attribute(KeyValue::new("error.type", error_type.clone()));
        self.0.set_status(Status::error(error_type));
    }
}

/// A list of texts as an attribute's value.
pub fn strings<'a>(texts: impl IntoIterator<Item = &'a str>) -> Value {
    let texts = texts.into_iter().map(|text| StringValue::from(text.to_owned())).collect();
    Value::Array(Array::String(texts))
}

/// The span of a request, if it is sampled: as its caller decided, else by the ratio.
pub fn entry(traceparent: Option<&str>, name: &'static str, kind: SpanKind) -> Option<Span> {
    let tracing = tracing()?;
    match traceparent.and_then(parse) {
        Some(parent) if parent[24] & SAMPLED == 0 => None,
        Some(parent) => Some(begin(tracing, Some(&parent), name.to_owned(), kind)),
        None if fastrand::f64() < tracing.ratio => Some(begin(tracing, None, name.to_owned(), kind)),
        None => None,
    }
}

/// A part of what has this context.
pub fn child(parent: &Context, name: impl Into<String>, kind: SpanKind) -> Option<Span> {
    Some(begin(tracing()?, Some(parent), name.into(), kind))
}

fn begin(tracing: &Tracing, parent: Option<&Context>, name: String, kind: SpanKind) -> Span {
    let builder = SpanBuilder::from_name(name).with_kind(kind);
    let mut above = opentelemetry::Context::new();
    if let Some(parent) = parent {
        above = above.with_remote_span_context(span_context(parent));
    }
    Span(tracing.tracer.build_with_context(builder, &above))
}

fn span_context(context: &Context) -> SpanContext {
    let mut trace = [0; 16];
    trace.copy_from_slice(&context[..16]);
    let mut span = [0; 8];
    span.copy_from_slice(&context[16..24]);
    let (trace, span) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
    SpanContext::new(trace, span, TraceFlags::new(context[24]), true, TraceState::NONE)
}

tokio::task_local! {
    static CURRENT: Context;
}

/// Runs what belongs to `context`: what it writes carries it, and what it logs names its trace.
pub async fn within<F: Future>(context: Option<Context>, future: F) -> F::Output {
    match context {
        None => future.await,
        Some(context) => CURRENT.scope(context, future).await,
    }
}

/// The context of what runs now, if it is traced.
#[inline]
pub fn current() -> Option<Context> {
    if is_on() { CURRENT.try_with(|context| *context).ok() } else { None }
}

/// The value of a `traceparent` header; `None` if it is none. (W3C Trace Context, "traceparent Header".)
pub fn parse(traceparent: &str) -> Option<Context> {
    let mut parts = traceparent.trim().split('-');
    let version = parts.next().filter(|version| version.len() == 2 && *version != "ff")?;
    let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
    // What a later version adds comes behind.
    if version == "00" && parts.next().is_some() {
        return None;
    }
    let mut context = [0; 25];
    unhex(version, &mut [0])?;
    unhex(trace, &mut context[..16])?;
    unhex(span, &mut context[16..24])?;
    unhex(flags, &mut context[24..])?;
    let is_valid = context[..16] != [0; 16] && context[16..24] != [0; 8];
    is_valid.then_some(context)
}

fn unhex(text: &str, bytes: &mut [u8]) -> Option<()> {
    let digits = text.as_bytes();
    let is_hex = |digit: &u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(digit);
    if digits.len() != 2 * bytes.len() || !digits.iter().all(is_hex) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// As the header `traceparent`.
pub fn traceparent(context: &Context) -> String {
    format!("00-{}-{}-{}", hex(&context[..16]), hex(&context[16..24]), hex(&context[24..]))
}

/// As Lambda's `Lambda-Runtime-Trace-Id`. (X-Ray developer guide, "Tracing header".)
pub fn xray(context: &Context) -> String {
    let (time, rest) = (hex(&context[..4]), hex(&context[4..16]));
    let sampled = context[24] & SAMPLED;
    format!("Root=1-{time}-{rest};Parent={};Sampled={sampled}", hex(&context[16..24]))
}

/// The trace's id, as logs name it.
pub fn trace_id(context: &Context) -> String {
    hex(&context[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_reads_back() {
        let context = parse(PARENT).unwrap();
        assert_eq!(traceparent(&context), PARENT);
        assert_eq!(trace_id(&context), "0af7651916cd43dd8448eb211c80319c");
        let xray_form = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1";
        assert_eq!(xray(&context), xray_form);
        assert!(
            parse(&PARENT.replacen("00", "cc", 1).replace("-01", "-01-more")).is_some(),
            "a later version"
        );
    }

    #[test]
    fn what_is_no_traceparent_is_left_alone() {
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c8031-b7ad6b7169203331-01",
            "é0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn where_nobody_collects_nothing_is_traced() {
        assert!(entry(Some(PARENT), "PutItem", SpanKind::Server).is_none());
        assert!(child(&parse(PARENT).unwrap(), "x", SpanKind::Internal).is_none());
        assert_eq!(current(), None);
    }
}
