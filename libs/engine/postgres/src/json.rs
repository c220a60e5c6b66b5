//! JSON as `jsonb` can hold it: which is all of it but the zero character.
//!
//! ```text
//! \u0000             U+E000 0
//! U+E000, \ue000     U+E000 1
//! ```

/// U+E000, of Unicode's private use, as UTF-8.
const MARK: &[u8] = "\u{e000}".as_bytes();

/// Writes each zero character as a mark and a digit.
pub fn escape(json: &str) -> String {
    let mut out = Vec::with_capacity(json.len());
    let mut rest = json.as_bytes();
    while let Some(first) = rest.first() {
        let (written, taken): (&[u8], usize) = match rest {
            [b'\\', b'u', b'0', b'0', b'0', b'0', ..] => (b"\xee\x80\x800", 6),
            [b'\\', b'u', b'e' | b'E', b'0', b'0', b'0', ..] => (b"\xee\x80\x801", 6),
            [b'\\', _, ..] => (&rest[..2], 2),
            _ if rest.starts_with(MARK) => (b"\xee\x80\x801", MARK.len()),
            _ => (std::slice::from_ref(first), 1),
        };
        out.extend_from_slice(written);
        rest = &rest[taken..];
    }
    String::from_utf8(out).expect("only whole characters were replaced")
}

/// The way back, from what the server prints: it writes the mark as it is.
pub fn unescape(json: &str) -> String {
    let mut parts = json.split('\u{e000}');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut rest = part.chars();
        match rest.next() {
            Some('0') => out.push_str("\\u0000"),
            _ => out.push('\u{e000}'),
        }
        out.push_str(rest.as_str());
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn texts_come_back(text in "[\\x00a\\\\\"u0e\u{e000}\u{e001}1]*") {
            let json = serde_json::to_string(&text).unwrap();
            let escaped = escape(&json);
            prop_assert!(!serde_json::from_str::<String>(&escaped).unwrap().contains('\0'));
            prop_assert_eq!(serde_json::from_str::<String>(&unescape(&escaped)).unwrap(), text);
        }
    }

    #[test]
    fn escapes_of_the_mark_are_the_mark() {
        for json in [r#""\ue000""#, r#""\uE000""#, "\"\u{e000}\""] {
            assert_eq!(serde_json::from_str::<String>(&unescape(&escape(json))).unwrap(), "\u{e000}");
        }
        assert_eq!(escape(r#""\\u0000""#), r#""\\u0000""#, "an escaped backslash and digits");
    }
}
