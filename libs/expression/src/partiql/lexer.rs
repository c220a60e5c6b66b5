//! Tokens of statements. Anything is some token: what no rule knows becomes [`Kind::Unknown`], for the parser to refuse.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A keyword, in any case, or a bare name.
    Word,
    /// `"name"`; a double quote in it is doubled.
    Name,
    /// `'text'`; a quote in it is doubled.
    Text,
    /// Without a sign.
    Number,
    Parameter,
    Symbol,
    Unknown,
    End,
}

const PAIRS: [&str; 7] = ["<<", ">>", "<=", ">=", "<>", "!=", "||"];
const SINGLES: &str = "()[]{},.:;=<>+-*/%";

/// All tokens of the text; the last one is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 4 + 2);
    let mut at = 0;
    loop {
        at += blanks(&text[at..]);
        let (kind, length) = next(&text[at..]);
        tokens.push(Token { kind, start: at, end: at + length });
        if kind == Kind::End {
            return tokens;
        }
        at += length;
    }
}

/// The length of white space and comments. A comment without an end is left to be an unknown token.
fn blanks(text: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        at += match rest.as_bytes() {
            [b' ' | b'\t' | b'\r' | b'\n', ..] => 1,
            [b'-', b'-', ..] => rest.find('\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => match rest[2..].find("*/") {
                Some(end) => end + 4,
                None => return at,
            },
            _ => return at,
        };
    }
}

/// The first token of `rest` and its length in bytes.
fn next(rest: &str) -> (Kind, usize) {
    let Some(first) = rest.chars().next() else { return (Kind::End, 0) };
    let digit_next = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    match first {
        '\'' => quoted(rest, b'\'', Kind::Text),
        '"' => quoted(rest, b'"', Kind::Name),
        '?' => (Kind::Parameter, 1),
        '0'..='9' => (Kind::Number, number(rest)),
        '.' if digit_next => (Kind::Number, number(rest)),
        'a'..='z' | 'A'..='Z' | '_' | '$' => (Kind::Word, word(rest)),
        _ if rest.starts_with("/*") => (Kind::Unknown, rest.len()),
        _ if PAIRS.iter().any(|pair| rest.starts_with(pair)) => (Kind::Symbol, 2),
        _ if SINGLES.contains(first) => (Kind::Symbol, 1),
        _ => (Kind::Unknown, first.len_utf8()),
    }
}

fn word(rest: &str) -> usize {
    rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')).count()
}

fn number(rest: &str) -> usize {
    let digits = |from: usize| rest[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut length = digits(0);
    if rest[length..].starts_with('.') {
        length += 1 + digits(length + 1);
    }
    if rest[length..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[length + 1..].starts_with(['+', '-']));
        let power = digits(length + 1 + sign);
        length += if power > 0 { 1 + sign + power } else { 0 };
    }
    length
}

fn quoted(rest: &str, quote: u8, kind: Kind) -> (Kind, usize) {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == quote) {
        at += found + 1;
        if bytes.get(at) != Some(&quote) {
            return (kind, at);
        }
        at += 1;
    }
    (Kind::Unknown, rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(Kind, &str)> {
        tokens(text).into_iter().map(|token| (token.kind, &text[token.start..token.end])).collect()
    }

    #[test]
    fn quotes_are_doubled_and_must_end() {
        assert_eq!(
            all("'it''s'\"a\"\"b\""),
            [(Kind::Text, "'it''s'"), (Kind::Name, "\"a\"\"b\""), (Kind::End, "")]
        );
        assert_eq!(all("'x"), [(Kind::Unknown, "'x"), (Kind::End, "")]);
        assert_eq!(all("'''"), [(Kind::Unknown, "'''"), (Kind::End, "")]);
    }

    #[test]
    fn numbers_have_fractions_and_powers() {
        for text in ["1", "1.5", ".5", "1e5", "1.5E-10", "0.25e+3"] {
            assert_eq!(all(text), [(Kind::Number, text), (Kind::End, "")]);
        }
        assert_eq!(all("1ex")[..2], [(Kind::Number, "1"), (Kind::Word, "ex")]);
        assert_eq!(all("l[0].a").len(), 7);
    }

    #[test]
    fn comments_are_blank() {
        assert_eq!(
            all("a--b\nc/* d */e-- f"),
            [(Kind::Word, "a"), (Kind::Word, "c"), (Kind::Word, "e"), (Kind::End, "")]
        );
        assert_eq!(all("a/*b")[1], (Kind::Unknown, "/*b"));
    }

    #[test]
    fn the_longest_symbol_is_taken() {
        assert_eq!(all("<<1>>").len(), 4);
        assert_eq!(all("a<>b")[1], (Kind::Symbol, "<>"));
        assert_eq!(all("é")[0], (Kind::Unknown, "é"));
    }
}
