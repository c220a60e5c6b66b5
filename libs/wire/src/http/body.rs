//! Compressed bodies, both ways.

use std::borrow::Cow;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::error::ApiError;
use crate::http::MAX_BODY_BYTES;

/// Answers up to this many bytes are sent as they are.
const COMPRESS_BEYOND: usize = 4096;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    Gzip,
    /// The zlib format, as HTTP means it.
    Deflate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the body is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    #[error("the body is not what its encoding says")]
    Corrupt,
    #[error("the body has an unknown encoding")]
    UnknownEncoding,
}

impl BodyError {
    /// As the API tells it; `None`: by the status 413 alone.
    pub fn api_error(self) -> Option<ApiError> {
        match self {
            BodyError::TooLarge => None,
            BodyError::Corrupt => Some(ApiError::internal("Internal server error")),
            BodyError::UnknownEncoding => Some(ApiError::serialization("")),
        }
    }
}

impl Encoding {
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
        }
    }

    fn named(name: &str) -> Option<Encoding> {
        [Encoding::Gzip, Encoding::Deflate].into_iter().find(|known| name.eq_ignore_ascii_case(known.name()))
    }

    pub fn compress(self, body: &[u8]) -> Vec<u8> {
        let out = Vec::with_capacity(body.len() / 4);
        let compressed = match self {
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(out, Compression::fast());
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
            Encoding::Deflate => {
                let mut encoder = ZlibEncoder::new(out, Compression::fast());
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
        };
        compressed.expect("a vector takes all")
    }

    fn decompress(self, body: &[u8]) -> Result<Vec<u8>, BodyError> {
        let mut input = body;
        let mut out = Vec::new();
        let limit = MAX_BODY_BYTES as u64 + 1;
        let read = match self {
            Encoding::Gzip => MultiGzDecoder::new(&mut input).take(limit).read_to_end(&mut out),
            Encoding::Deflate => ZlibDecoder::new(&mut input).take(limit).read_to_end(&mut out),
        };
        match read {
            Ok(length) if length > MAX_BODY_BYTES => Err(BodyError::TooLarge),
            Ok(_) if input.is_empty() && !body.is_empty() => Ok(out),
            _ => Err(BodyError::Corrupt),
        }
    }
}

/// The body without its Content-Encoding.
pub fn plain<'b>(content_encoding: Option<&str>, body: &'b [u8]) -> Result<Cow<'b, [u8]>, BodyError> {
    let name = content_encoding.unwrap_or_default().trim();
    if name.is_empty() || name.eq_ignore_ascii_case("identity") {
        return Ok(Cow::Borrowed(body));
    }
    let encoding = Encoding::named(name).ok_or(BodyError::UnknownEncoding)?;
    encoding.decompress(body).map(Cow::Owned)
}

pub(crate) fn worth_compressing(body: &[u8]) -> bool {
    body.len() > COMPRESS_BEYOND
}

/// The encoding that an Accept-Encoding header prefers among ours.
pub(crate) fn accepted(header: Option<&str>) -> Option<Encoding> {
    let mut best: Option<(f32, Encoding)> = None;
    for part in header?.split(',') {
        let mut parameters = part.split(';').map(str::trim);
        let name = parameters.next().unwrap_or_default();
        let weight = parameters
            .find_map(|parameter| parameter.strip_prefix("q="))
            .map_or(Some(1.0), |q| q.parse().ok());
        let encoding = if name == "*" { Some(Encoding::Gzip) } else { Encoding::named(name) };
        let (Some(encoding), Some(weight)) = (encoding, weight) else { continue };
        if weight > best.map_or(0.0, |(best, _)| best) {
            best = Some((weight, encoding));
        }
    }
    best.map(|(_, encoding)| encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_survive_both_encodings() {
        let body = b"{\"TableName\":\"abc\"}".repeat(500);
        for encoding in [Encoding::Gzip, Encoding::Deflate] {
            let sent = encoding.compress(&body);
            assert_eq!(plain(Some(encoding.name()), &sent).as_deref(), Ok(&body[..]));
            assert_eq!(plain(Some(&encoding.name().to_uppercase()), &sent).as_deref(), Ok(&body[..]));
        }
        assert_eq!(plain(None, &body), Ok(Cow::Borrowed(&body[..])));
        assert_eq!(plain(Some("identity"), b"{}").as_deref(), Ok(&b"{}"[..]));
    }

    #[test]
    fn gzip_may_have_several_members() {
        let sent = [Encoding::Gzip.compress(b"{\"a\":"), Encoding::Gzip.compress(b"1}")].concat();
        assert_eq!(plain(Some("gzip"), &sent).as_deref(), Ok(&b"{\"a\":1}"[..]));
    }

    #[test]
    fn corrupt_empty_and_truncated_bodies_are_refused() {
        for encoding in [Encoding::Gzip, Encoding::Deflate] {
            let whole = encoding.compress(b"{\"TableName\":\"abc\"}");
            let mut trailing = whole.clone();
            trailing.extend_from_slice(b"junk");
            for corrupt in [&b""[..], b"{}", &whole[..whole.len() - 1], &whole[..5], &trailing] {
                assert_eq!(plain(Some(encoding.name()), corrupt), Err(BodyError::Corrupt), "{corrupt:?}");
            }
        }
        assert_eq!(plain(Some("br"), b"{}"), Err(BodyError::UnknownEncoding));
        assert_eq!(plain(Some("gzip, gzip"), b"{}"), Err(BodyError::UnknownEncoding));
        assert_eq!(
            BodyError::Corrupt.api_error().map(|error| error.code),
            Some(crate::error::Code::InternalServerError)
        );
    }

    #[test]
    fn what_expands_beyond_the_bound_is_refused_without_being_held() {
        let bomb = Encoding::Gzip.compress(&vec![b' '; MAX_BODY_BYTES + 1]);
        assert!(bomb.len() < MAX_BODY_BYTES / 100);
        assert_eq!(plain(Some("gzip"), &bomb), Err(BodyError::TooLarge));
        let largest = Encoding::Deflate.compress(&vec![b' '; MAX_BODY_BYTES]);
        assert_eq!(plain(Some("deflate"), &largest).map(|body| body.len()), Ok(MAX_BODY_BYTES));
    }

    #[test]
    fn the_accepted_encoding_is_the_heaviest_of_ours() {
        for (header, expected) in [
            (None, None),
            (Some("identity"), None),
            (Some("br, zstd"), None),
            (Some("gzip"), Some(Encoding::Gzip)),
            (Some("deflate"), Some(Encoding::Deflate)),
            (Some("gzip, deflate"), Some(Encoding::Gzip)),
            (Some("deflate;q=1.0, gzip;q=0.5"), Some(Encoding::Deflate)),
            (Some("gzip;q=0"), None),
            (Some("gzip;q=0, deflate;q=0.1"), Some(Encoding::Deflate)),
            (Some("*"), Some(Encoding::Gzip)),
            (Some("GZIP"), Some(Encoding::Gzip)),
            (Some("gzip;q=x"), None),
        ] {
            assert_eq!(accepted(header), expected, "{header:?}");
        }
    }
}
