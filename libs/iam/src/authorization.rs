//! The claim a request makes: its Authorization header, or the same in the query of a presigned URL.
//!
//! ```text
//! Authorization: AWS4-HMAC-SHA256 Credential=KEY/20260102/REGION/SERVICE/aws4_request,SignedHeaders=a;b,Signature=HEX
//! ```
//!
//! Everything is borrowed from the request; only a presigned query may have to be decoded into new strings.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::error::Sent;
use crate::{Error, uri};

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(crate) const TERMINATOR: &str = "aws4_request";
pub(crate) static DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(crate) static SESSION_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
pub(crate) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";
const ALGORITHM_PARAMETER: &str = "X-Amz-Algorithm";

/// Who a request says it is from and which region and service it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    pub access_key_id: Cow<'a, str>,
    pub region: Cow<'a, str>,
    pub service: Cow<'a, str>,
}

/// Reads the identity from the Authorization header, which must be complete and of Signature Version 4, and verifies
/// nothing.
///
/// For servers that accept any credentials. The header is demanded all the same, and a presigned query is no
/// substitute: no web page can make a browser send this header to another origin unasked.
pub fn shape(headers: &HeaderMap) -> Result<Identity<'_>, Error> {
    let header = headers.get(header::AUTHORIZATION).ok_or(Error::MissingToken)?;
    let authorization = Authorization::from_header(header, headers)?;
    authorization.check_algorithm()?;
    Ok(authorization.scope()?.into_identity())
}

#[derive(Debug)]
pub(crate) struct Authorization<'a> {
    algorithm: Cow<'a, str>,
    credential: Cow<'a, str>,
    pub(crate) signed_headers: Cow<'a, str>,
    pub(crate) signature: Cow<'a, str>,
    pub(crate) date: Cow<'a, str>,
    pub(crate) session_token: Option<Cow<'a, str>>,
    /// From the query, whose canonical form then leaves the signature out.
    pub(crate) is_presigned: bool,
}

impl<'a> Authorization<'a> {
    pub(crate) fn of(headers: &'a HeaderMap, query: Option<&'a str>) -> Result<Authorization<'a>, Error> {
        let presigned = query.filter(|query| parameter(query, ALGORITHM_PARAMETER).is_some());
        match (headers.get(header::AUTHORIZATION), presigned) {
            (Some(_), Some(_)) => Err(Error::TwoSignatures),
            (Some(header), None) => Authorization::from_header(header, headers),
            (None, Some(query)) => Authorization::from_query(query),
            (None, None) => Err(Error::MissingToken),
        }
    }

    fn from_header(header: &'a HeaderValue, headers: &'a HeaderMap) -> Result<Authorization<'a>, Error> {
        let text = std::str::from_utf8(header.as_bytes()).map_err(|_| Error::MissingToken)?.trim();
        if !text.starts_with("AWS4-") {
            return Err(Error::MissingToken);
        }
        let (algorithm, components) = text.split_once(' ').unwrap_or((text, ""));
        let [credential, signature, signed_headers] = components_of(components);
        let date = headers.get(&DATE).or_else(|| headers.get(header::DATE)).map(text_of);
        match (credential, signature, signed_headers, date) {
            (Some(credential), Some(signature), Some(signed_headers), Some(date)) => Ok(Authorization {
                algorithm: Cow::Borrowed(algorithm),
                credential: Cow::Borrowed(credential),
                signed_headers: Cow::Borrowed(signed_headers),
                signature: Cow::Borrowed(signature),
                date,
                session_token: headers.get(&SESSION_TOKEN).map(text_of),
                is_presigned: false,
            }),
            (credential, signature, signed_headers, date) => {
                Err(lacking_components([credential, signature, signed_headers], date.is_some(), text))
            }
        }
    }

    fn from_query(query: &'a str) -> Result<Authorization<'a>, Error> {
        let mut lacking = String::new();
        let [algorithm, credential, signature, signed_headers, date] = [
            ALGORITHM_PARAMETER,
            "X-Amz-Credential",
            SIGNATURE_PARAMETER,
            "X-Amz-SignedHeaders",
            "X-Amz-Date",
        ]
        .map(|name| {
            let value = parameter(query, name).unwrap_or_default();
            if value.is_empty() {
                lacking.push_str(&format!("AWS query-string parameters must include '{name}'. "));
            }
            value
        });
        if !lacking.is_empty() {
            return Err(Error::MissingParameters { lacking });
        }
        let session_token = parameter(query, "X-Amz-Security-Token");
        Ok(Authorization {
            algorithm,
            credential,
            signed_headers,
            signature,
            date,
            session_token,
            is_presigned: true,
        })
    }

    pub(crate) fn check_host_is_signed(&self) -> Result<(), Error> {
        let signed = self.signed_headers.split(';').any(|name| name.eq_ignore_ascii_case("host"));
        if signed { Ok(()) } else { Err(Error::HostNotSigned) }
    }

    pub(crate) fn check_algorithm(&self) -> Result<(), Error> {
        if self.algorithm == ALGORITHM {
            return Ok(());
        }
        Err(Error::UnsupportedAlgorithm { algorithm: self.algorithm.as_ref().into() })
    }

    pub(crate) fn scope(&self) -> Result<Scope<'a>, Error> {
        Scope::of(&self.credential)
            .ok_or_else(|| Error::MalformedCredential { credential: self.credential.as_ref().into() })
    }
}

/// The five elements of a credential.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) access_key_id: Cow<'a, str>,
    pub(crate) day: Cow<'a, str>,
    pub(crate) region: Cow<'a, str>,
    pub(crate) service: Cow<'a, str>,
    pub(crate) terminator: Cow<'a, str>,
}

impl<'a> Scope<'a> {
    fn of(credential: &Cow<'a, str>) -> Option<Scope<'a>> {
        let [access_key_id, day, region, service, terminator] = match credential {
            Cow::Borrowed(text) => five(text)?.map(Cow::Borrowed),
            Cow::Owned(text) => five(text)?.map(|part| Cow::Owned(part.to_owned())),
        };
        Some(Scope { access_key_id, day, region, service, terminator })
    }

    pub(crate) fn into_identity(self) -> Identity<'a> {
        Identity { access_key_id: self.access_key_id, region: self.region, service: self.service }
    }
}

fn five(credential: &str) -> Option<[&str; 5]> {
    let mut parts = credential.split('/');
    let five = [parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(five)
}

/// Credential, Signature and SignedHeaders of the header's text; an empty one counts as absent.
fn components_of(text: &str) -> [Option<&str>; 3] {
    let mut found = [None; 3];
    for component in text.split(',') {
        let Some((name, value)) = component.trim_ascii_start().split_once('=') else { continue };
        let nth = match name {
            "Credential" => 0,
            "Signature" => 1,
            "SignedHeaders" => 2,
            _ => continue,
        };
        found[nth] = Some(value.trim_ascii()).filter(|value| !value.is_empty());
    }
    found
}

fn lacking_components(components: [Option<&str>; 3], has_date: bool, header: &str) -> Error {
    let mut lacking = String::new();
    for (name, component) in ["Credential", "Signature", "SignedHeaders"].into_iter().zip(components) {
        if component.is_none() {
            lacking.push_str(&format!("Authorization header requires '{name}' parameter. "));
        }
    }
    if !has_date {
        lacking.push_str(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
        );
    }
    Error::MissingComponents { lacking, header: Sent(header.to_owned()) }
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    uri::parameters(query).find(|(raw, _)| uri::decode(raw) == name).map(|(_, value)| uri::decode(value))
}

fn text_of(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIAL: &str = "AKID/20260102/eu-west-1/dynamodb/aws4_request";

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        headers.insert(&DATE, HeaderValue::from_static("20260102T030405Z"));
        headers
    }

    #[test]
    fn components_may_be_separated_by_commas_with_and_without_spaces() {
        for separator in [",", ", ", ",  ", " ,"] {
            let parts =
                [&format!("Credential={CREDENTIAL}"), "SignedHeaders=host", "Signature=0"].join(separator);
            let headers = headers(&format!("AWS4-HMAC-SHA256 {parts}"));
            let authorization = Authorization::of(&headers, None).unwrap();
            assert_eq!(authorization.credential, CREDENTIAL);
            assert_eq!((&*authorization.signed_headers, &*authorization.signature), ("host", "0"));
        }
    }

    #[test]
    fn the_shape_gives_the_identity_without_copying_it() {
        let headers =
            headers(&format!("AWS4-HMAC-SHA256 Signature=x, SignedHeaders=y, Credential={CREDENTIAL}"));
        let identity = shape(&headers).unwrap();
        assert!(matches!(identity.region, Cow::Borrowed("eu-west-1")));
        assert!(matches!(identity.access_key_id, Cow::Borrowed("AKID")));
        assert!(matches!(identity.service, Cow::Borrowed("dynamodb")));
    }

    #[test]
    fn the_shape_demands_the_header_and_all_of_it() {
        assert_eq!(shape(&HeaderMap::new()), Err(Error::MissingToken));
        assert_eq!(shape(&headers("Bearer abc")), Err(Error::MissingToken));
        let code = |authorization: &str| shape(&headers(authorization)).unwrap_err().code();
        assert_eq!(code("AWS4-HMAC-SHA256"), "IncompleteSignatureException");
        assert_eq!(code("AWS4-HMAC-SHA256 Credential=a/b/c/d/e,Signature=f"), "IncompleteSignatureException");
        for wrong in ["AWS4-HMAC-SHA256 Credential=a/b/c/d", "AWS4-HMAC-SHA1 Credential=a/b/c/d/e"] {
            assert_eq!(code(&format!("{wrong},Signature=f,SignedHeaders=g")), "IncompleteSignatureException");
        }
    }

    #[test]
    fn everything_that_lacks_is_named_at_once() {
        let mut headers = headers("AWS4-HMAC-SHA256 Credential=,Foo=1");
        headers.remove(&DATE);
        let error = shape(&headers).unwrap_err();
        assert_eq!(
            error.message(),
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' \
             parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires \
             existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256 \
             Credential=,Foo=1"
        );
    }

    #[test]
    fn a_presigned_query_that_lacks_parts_names_them() {
        let headers = HeaderMap::new();
        let error =
            Authorization::of(&headers, Some("X-Amz-Algorithm&X-Amz-Date=1&X-Amz-Credential=2")).unwrap_err();
        assert_eq!(error.code(), "IncompleteSignatureException");
        assert_eq!(
            error.message(),
            "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must include \
             'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. Re-examine the \
             query-string parameters."
        );
    }
}
