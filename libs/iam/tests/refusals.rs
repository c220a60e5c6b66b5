//! Every way in which a signature can be wrong, with the code and the text that DynamoDB answers, and in which order
//! they are looked for.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use http::{HeaderMap, HeaderName, HeaderValue};
use tradewind_iam::{Credentials, Error, Request, Secret, Signer, Verifier};

/// 2015-08-30T12:36:00Z
const NOW: i64 = 1_440_938_160;
const SCOPE: &str = "AKID/20150830/eu-west-1/dynamodb/aws4_request";

/// A request that is accepted as it is made, to be broken by a test.
struct Call {
    headers: HeaderMap,
    query: Option<&'static str>,
    body: &'static str,
    now: i64,
}

impl Call {
    fn by(credentials: Credentials) -> Call {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("localhost:8000"));
        let mut call = Call { headers, query: None, body: "{}", now: NOW };
        let signer = Signer::new(credentials, "eu-west-1", "dynamodb");
        let signature = signer.sign(&call.request(), NOW).unwrap();
        signature.apply(&mut call.headers);
        call
    }

    fn signed() -> Call {
        Call::by(long_term())
    }

    fn with(mut self, name: &'static str, value: &str) -> Call {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value).unwrap());
        self
    }

    fn without(mut self, name: &str) -> Call {
        self.headers.remove(name);
        self
    }

    fn authorized(self, text: &str) -> Call {
        self.with("authorization", text)
    }

    fn scoped(self, credential: &str) -> Call {
        self.authorized(&format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature={}",
            "0".repeat(64)
        ))
    }

    fn request(&self) -> Request<'_> {
        Request {
            method: "POST",
            path: "/",
            query: self.query,
            headers: &self.headers,
            body: self.body.as_bytes(),
        }
    }

    fn refusal(&self) -> (&'static str, String) {
        let error = verifier().verify(&self.request(), "dynamodb", self.now).unwrap_err();
        (error.code(), error.message())
    }
}

fn long_term() -> Credentials {
    Credentials::new("AKID", Secret::new("secret"))
}

fn temporary(token: &str) -> Credentials {
    Credentials::new("ASIA", Secret::new("secret")).with_session_token(Secret::new(token))
}

fn verifier() -> Verifier {
    let verifier = Verifier::new(["eu-west-1"]);
    verifier.set_credentials([long_term(), temporary("token")]);
    verifier
}

fn refused(code: &'static str, message: &str) -> (&'static str, String) {
    (code, message.to_owned())
}

const INCOMPLETE: &str = "IncompleteSignatureException";
const INVALID: &str = "InvalidSignatureException";

#[test]
fn the_unbroken_call_is_accepted() {
    let call = Call::signed();
    let verifier = verifier();
    let identity = verifier.verify(&call.request(), "dynamodb", NOW).unwrap();
    assert_eq!((&*identity.access_key_id, &*identity.region), ("AKID", "eu-west-1"));
}

#[test]
fn no_token() {
    let expected = refused("MissingAuthenticationTokenException", "Request is missing Authentication Token");
    assert_eq!(Call::signed().without("authorization").refusal(), expected);
    assert_eq!(Call::signed().authorized("").refusal(), expected);
    assert_eq!(Call::signed().authorized("Bearer AWS4-").refusal(), expected);
    assert_eq!(Call::signed().authorized("AWS3-HTTPS Credential=1").refusal(), expected);
}

#[test]
fn a_header_and_a_query() {
    let call = Call { query: Some("a=b&X-Amz-Algorithm=AWS4-HMAC-SHA256"), ..Call::signed() };
    let message = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.";
    assert_eq!(call.refusal(), refused(INVALID, message));
}

#[test]
fn components_that_lack() {
    let header = "AWS4-HMAC-SHA256 SignedHeaders=host";
    assert_eq!(
        Call::signed().authorized(header).without("x-amz-date").refusal(),
        refused(
            INCOMPLETE,
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' \
             parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
             Authorization=AWS4-HMAC-SHA256 SignedHeaders=host"
        )
    );
}

#[test]
fn parameters_that_lack() {
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-SignedHeaders=&X-Amz-Date=b";
    let call = Call { query: Some(query), ..Call::signed().without("authorization") };
    assert_eq!(
        call.refusal(),
        refused(
            INCOMPLETE,
            "AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters must include \
             'X-Amz-SignedHeaders'. Re-examine the query-string parameters."
        )
    );
}

#[test]
fn a_bad_date() {
    assert_eq!(
        Call::signed().with("x-amz-date", "201").refusal(),
        refused(
            INCOMPLETE,
            "Date must be in ISO-8601 'basic format'. Got '201'. See http://en.wikipedia.org/wiki/ISO_8601"
        )
    );
}

#[test]
fn too_old_and_too_new() {
    assert_eq!(
        Call { now: NOW + 901, ..Call::signed() }.refusal(),
        refused(
            INVALID,
            "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)"
        )
    );
    assert_eq!(
        Call { now: NOW - 901, ..Call::signed() }.refusal(),
        refused(
            INVALID,
            "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + \
             15 min.)"
        )
    );
    for now in [NOW - 900, NOW + 900] {
        let call = Call::signed();
        assert!(verifier().verify(&call.request(), "dynamodb", now).is_ok());
    }
}

#[test]
fn a_host_that_is_not_signed() {
    let header = format!("AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders=x-amz-date;hostess,Signature=0");
    assert_eq!(
        Call::signed().authorized(&header).refusal(),
        refused(INVALID, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
    );
}

#[test]
fn another_algorithm() {
    let header = format!("AWS4-HMAC-SHA25 Credential={SCOPE},SignedHeaders=host,Signature=0");
    assert_eq!(
        Call::signed().authorized(&header).refusal(),
        refused(INCOMPLETE, "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA25'.")
    );
}

#[test]
fn a_credential_of_another_shape() {
    for credential in
        ["AKID", "AKID/20150830/eu-west-1/dynamodb", "A/K/20150830/eu-west-1/dynamodb/aws4_request"]
    {
        let message = format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got \
             '{credential}'"
        );
        assert_eq!(Call::signed().scoped(credential).refusal(), refused(INCOMPLETE, &message));
    }
}

#[test]
fn a_scope_that_does_not_fit() {
    let region = "Credential should be scoped to a valid region, not 'mars-1'. ";
    let service = "Credential should be scoped to correct service: 'dynamodb'. ";
    let terminator =
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws4_reques'. ";
    let date = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150829' \
                != '20150830', from '20150830T123600Z'. ";
    for (credential, message) in [
        ("AKID/20150830/mars-1/dynamodb/aws4_request", region.to_owned()),
        ("AKID/20150830/eu-west-1/lambda/aws4_request", service.to_owned()),
        ("AKID/20150830/eu-west-1/dynamodb/aws4_reques", terminator.to_owned()),
        ("AKID/20150829/eu-west-1/dynamodb/aws4_request", date.to_owned()),
        ("AKID/20150829/mars-1/s3/aws4_reques", [region, service, terminator, date].concat()),
    ] {
        assert_eq!(Call::signed().scoped(credential).refusal(), refused(INVALID, &message));
    }
}

#[test]
fn an_unknown_key_or_session_token() {
    let expected =
        refused("UnrecognizedClientException", "The security token included in the request is invalid.");
    assert_eq!(Call::by(Credentials::new("OTHER", Secret::new("secret"))).refusal(), expected);
    assert_eq!(Call::by(temporary("tokem")).refusal(), expected);
    assert_eq!(Call::by(temporary("token2")).refusal(), expected);
    assert_eq!(Call::by(Credentials::new("ASIA", Secret::new("secret"))).refusal(), expected, "no token");
    assert_eq!(
        Call::by(long_term().with_session_token(Secret::new("token"))).refusal(),
        expected,
        "a token that a long-term key does not have"
    );
    let call = Call::by(temporary("token"));
    assert!(verifier().verify(&call.request(), "dynamodb", NOW).is_ok());
}

#[test]
fn a_wrong_signature_is_answered_with_what_should_have_been_signed() {
    assert_eq!(
        Call::signed().scoped(SCOPE).refusal(),
        refused(
            INVALID,
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String \
             for this request should have been\n'POST\n/\n\nhost:localhost:8000\nx-amz-date:20150830T123600Z\n\n\
             host;x-amz-date\n44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'\n\nThe \
             String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20150830T123600Z\n\
             20150830/eu-west-1/dynamodb/aws4_request\n\
             557d9a57e7d0438eb3ef1f9e275b2ff989a33d0bd9bc51e50b9bf338f1cb3ce9'\n"
        )
    );
}

#[test]
fn errors_are_looked_for_in_their_order() {
    // Each is broken in its own way and in all later ones.
    let late = Call { now: NOW + 10_000, ..Call::signed() };
    let header = "AWS4-HMAC-SHA1 Credential=a,SignedHeaders=b,Signature=c";
    let dated = Call { now: NOW + 10_000, ..Call::signed() }.authorized(header).with("x-amz-date", "x");
    assert!(dated.refusal().1.starts_with("Date must be"));
    assert!(
        Call { headers: late.authorized(header).headers, now: NOW + 10_000, ..Call::signed() }
            .refusal()
            .1
            .starts_with("Signature expired")
    );
    assert!(Call::signed().authorized(header).refusal().1.starts_with("'Host'"));
    let header = "AWS4-HMAC-SHA1 Credential=a,SignedHeaders=host,Signature=c";
    assert!(Call::signed().authorized(header).refusal().1.starts_with("Unsupported"));
    assert!(Call::signed().scoped("OTHER/1").refusal().1.starts_with("Credential must"));
    assert!(Call::signed().scoped("OTHER/1/2/3/4").refusal().1.starts_with("Credential should"));
    let scope = SCOPE.replace("AKID", "OTHER");
    assert!(Call::signed().scoped(&scope).refusal().1.starts_with("The security token"));
}

#[test]
fn an_unsigned_payload_is_still_a_payload() {
    let mut call = Call { body: "", ..Call::signed() };
    call.headers.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    let signer = Signer::new(long_term(), "eu-west-1", "dynamodb");
    let signature = signer.sign(&call.request(), NOW).unwrap();
    signature.apply(&mut call.headers);
    assert!(verifier().verify(&call.request(), "dynamodb", NOW).is_ok());
    call.body = "{}";
    assert_eq!(call.refusal().0, INVALID);
}

#[test]
fn credentials_that_are_taken_away_or_changed_count_at_once() {
    let call = Call::signed();
    let verifier = verifier();
    let verify = || verifier.verify(&call.request(), "dynamodb", NOW).map(drop);
    assert_eq!(verify(), Ok(()));
    verifier.set_credentials([Credentials::new("AKID", Secret::new("another"))]);
    assert!(matches!(verify(), Err(Error::WrongSignature(_))));
    verifier.set_credentials([]);
    assert_eq!(verify(), Err(Error::UnknownClient));
    verifier.set_credentials([long_term()]);
    assert_eq!(verify(), Ok(()));
}

#[test]
fn a_verifier_that_names_no_region_leaves_the_region_to_its_caller() {
    let verifier = Verifier::new(Vec::<String>::new());
    verifier.set_credentials([long_term()]);
    let call = Call::signed();
    assert_eq!(verifier.verify(&call.request(), "dynamodb", NOW).unwrap().region, "eu-west-1");
    assert!(matches!(verifier.verify(&call.request(), "lambda", NOW), Err(Error::WrongScope { .. })));
}
