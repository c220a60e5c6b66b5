//! What a signature covers of an HTTP request, borrowed from wherever the request lives.

use http::HeaderMap;

/// A request as it is, or will be, on the wire: nothing decoded, nothing decompressed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// In upper case, as on the request line.
    pub method: &'a str,
    /// The path as sent, percent escapes included and the query not.
    pub path: &'a str,
    /// What follows the first `?`, as sent.
    pub query: Option<&'a str>,
    /// `host` must be among them: HTTP/2's `:authority` has to be put there by the caller.
    pub headers: &'a HeaderMap,
    /// The body as sent, that is, compressed if it has a `Content-Encoding`.
    pub body: &'a [u8],
}
