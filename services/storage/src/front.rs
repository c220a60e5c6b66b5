//! The regions behind a port, and which of them a request is for.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use tradewind_database::Database;
use tradewind_telemetry::metrics::{CONTENT_TYPE, Sample, render};

use crate::access::Access;

pub type Answered = http::Response<Bytes>;

/// Who may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guard {
    /// Anybody: health checks.
    Open,
    /// Whoever signs for this service.
    Signed(&'static str),
}

/// What a port answers beside DynamoDB: the Lambda API, health, and what the command line asks. None of it is on the
/// hot path.
pub trait Other: Send + Sync + 'static {
    /// Who may ask for a path; `None`: it is not one of its own.
    fn guard(&self, path: &str) -> Option<Guard>;

    fn answer<'a>(
        &'a self,
        head: &'a Parts,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Answered> + Send + 'a>>;
}

/// What `GET /metrics` answers: all that this process has counted, and these numbers.
pub fn metrics_answer(samples: Vec<Sample>) -> Answered {
    let mut response = http::Response::new(Bytes::from(render(samples)));
    let content_type = http::HeaderValue::from_static(CONTENT_TYPE);
    response.headers_mut().insert("content-type", content_type);
    response
}

/// A region as a port serves it.
pub struct Region<E> {
    pub database: Arc<Database<E>>,
    pub other: Arc<dyn Other>,
}

impl<E> Clone for Region<E> {
    fn clone(&self) -> Self {
        Region { database: self.database.clone(), other: self.other.clone() }
    }
}

/// The regions of a process.
pub trait Regions<E>: Send + Sync + 'static {
    /// The region of that name, made if it may be; `None` if there is none.
    fn find(&self, name: &str) -> Option<Region<E>>;

    /// Only its database: all that most requests need.
    fn database(&self, name: &str) -> Option<Arc<Database<E>>>;

    /// The region of requests that name none: health checks, preflights.
    fn first(&self) -> Region<E>;
}

/// What one port serves.
pub struct Front<E: 'static> {
    pub regions: Arc<dyn Regions<E>>,
    /// Serves this region, whatever a signature says; `None`: the one that the signature names.
    pub fixed: Option<String>,
    pub access: Arc<Access>,
    /// Where clients reach this port, for DescribeEndpoints.
    pub address: String,
    /// Whether tables may ask for encryption with a key. Nothing here encrypts: only where nobody relies on it.
    pub claims_encryption: bool,
}

impl<E: 'static> Front<E> {
    /// The region of a request signed for `signed`.
    pub(crate) fn region(&self, signed: &str) -> Option<Region<E>> {
        self.regions.find(self.fixed.as_deref().unwrap_or(signed))
    }

    /// The database of that region.
    pub(crate) fn database(&self, signed: &str) -> Option<Arc<Database<E>>> {
        self.regions.database(self.fixed.as_deref().unwrap_or(signed))
    }
}
