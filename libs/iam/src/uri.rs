//! The URI encoding of Signature Version 4: every byte but `A-Z a-z 0-9 - . _ ~` becomes `%XX` in upper case.

use std::borrow::Cow;

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn append_encoded(byte: u8, out: &mut Vec<u8>) {
    if is_unreserved(byte) {
        out.push(byte);
    } else {
        out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Appends the canonical form of a path as sent: empty and `.` segments go, `..` takes its parent along, and what is
/// left is encoded once more, so that `%3A` becomes `%253A`. This is the rule of every service but S3.
pub(crate) fn append_path(path: &str, out: &mut Vec<u8>) {
    if matches!(path, "" | "/") {
        return out.push(b'/');
    }
    let segments = normal_segments(path);
    for segment in &segments {
        out.push(b'/');
        segment.bytes().for_each(|byte| append_encoded(byte, out));
    }
    if path.ends_with('/') || segments.is_empty() {
        out.push(b'/');
    }
}

fn normal_segments(path: &str) -> Vec<&str> {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    kept
}

/// Appends the canonical form of a query as sent, without the parameter named `except`: each name and value is decoded
/// and encoded again, and the pairs are sorted by name, then by value.
pub(crate) fn append_query(query: &str, except: Option<&str>, out: &mut Vec<u8>) {
    let mut pairs: Vec<_> = parameters(query)
        .filter(|(name, _)| except.is_none_or(|except| decode(name) != except))
        .map(|(name, value)| (reencoded(name), reencoded(value)))
        .collect();
    pairs.sort();
    for (nth, (name, value)) in pairs.iter().enumerate() {
        if nth > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

/// The pairs of a query, still encoded; a name without `=` has an empty value.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn reencoded(part: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(part.len());
    decode_bytes(part).for_each(|byte| append_encoded(byte, &mut out));
    out
}

/// Decodes one name or value of a query; bytes that are not UTF-8 become replacement characters.
pub(crate) fn decode(part: &str) -> Cow<'_, str> {
    if !part.contains(['%', '+']) {
        return Cow::Borrowed(part);
    }
    let bytes: Vec<u8> = decode_bytes(part).collect();
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// `+` is a space, as HTML forms and older HTTP libraries write it; a `%` that starts no escape stands for itself.
fn decode_bytes(part: &str) -> impl Iterator<Item = u8> {
    let mut rest = part.as_bytes();
    std::iter::from_fn(move || {
        let (byte, length) = match rest {
            [] => return None,
            [b'+', ..] => (b' ', 1),
            [b'%', high, low, ..] => escaped(*high, *low).map_or((b'%', 1), |byte| (byte, 3)),
            [byte, ..] => (*byte, 1),
        };
        rest = &rest[length..];
        Some(byte)
    })
}

fn escaped(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str) -> String {
        let mut out = Vec::new();
        append_path(path, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn query(query: &str) -> String {
        let mut out = Vec::new();
        append_query(query, Some("X-Amz-Signature"), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn paths_are_normalised() {
        for (sent, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/example/..", "/"),
            ("/example1/example2/../..", "/"),
            ("/./example", "/example"),
            ("//example//", "/example/"),
            ("/../../a", "/a"),
            ("/-._~0aZ", "/-._~0aZ"),
        ] {
            assert_eq!(path(sent), canonical, "{sent}");
        }
    }

    #[test]
    fn paths_are_encoded_once_more_than_on_the_wire() {
        assert_eq!(path("/functions/arn%3Aaws%3Alambda"), "/functions/arn%253Aaws%253Alambda");
        assert_eq!(path("/a:b/\u{1234}"), "/a%3Ab/%E1%88%B4");
        assert_eq!(path("/%2e%2e/x"), "/%252e%252e/x", "an encoded dot is not a dot");
    }

    #[test]
    fn queries_are_sorted_by_name_then_value_in_encoded_form() {
        assert_eq!(query("b=2&a=2&a=1"), "a=1&a=2&b=2");
        assert_eq!(query("a-b=1&a=2&a="), "a=&a=2&a-b=1", "`=` does not take part in the order of names");
        assert_eq!(query("B&a"), "B=&a=");
        assert_eq!(query("\u{1234}=bar"), "%E1%88%B4=bar");
    }

    #[test]
    fn queries_are_encoded_anew() {
        assert_eq!(query("a=%3a&b=%7e&c=x+y"), "a=%3A&b=~&c=x%20y");
        assert_eq!(query("a=100%&b=%zz&c=b=c"), "a=100%25&b=%25zz&c=b%3Dc");
        assert_eq!(query("&&a=1&"), "a=1");
    }

    #[test]
    fn the_signature_is_no_part_of_the_query_it_signs() {
        assert_eq!(query("X-Amz-Signature=1&a=2&X-Amz-Signatur%65=3"), "a=2");
    }

    proptest::proptest! {
        #[test]
        fn any_query_and_path_becomes_plain_ascii_and_stays_so(text in ".*") {
            let once = query(&text);
            proptest::prop_assert!(once.is_ascii());
            proptest::prop_assert_eq!(query(&once), once.clone());
            let segments = path(&text);
            proptest::prop_assert!(segments.is_ascii() && segments.starts_with('/'));
        }
    }
}
