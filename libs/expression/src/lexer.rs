//! Tokens of expressions. Anything is some token: what no rule knows becomes [`Kind::Unknown`], for the parser to refuse.

use crate::error::ParseError;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A bare name: an attribute or a function.
    Name,
    /// `#name`
    NameRef,
    /// `:value`
    ValueRef,
    /// A list index: digits without leading zeros.
    Number,
    And,
    Or,
    Not,
    Between,
    In,
    Set,
    Remove,
    Add,
    Delete,
    Dot,
    Comma,
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Plus,
    Minus,
    Unknown,
    End,
}

/// Keywords are the same in any case; they are never attribute names, not even nested ones.
const KEYWORDS: [(&str, Kind); 9] = [
    ("AND", Kind::And),
    ("OR", Kind::Or),
    ("NOT", Kind::Not),
    ("BETWEEN", Kind::Between),
    ("IN", Kind::In),
    ("SET", Kind::Set),
    ("REMOVE", Kind::Remove),
    ("ADD", Kind::Add),
    ("DELETE", Kind::Delete),
];

/// All tokens of the text; the last one is [`Kind::End`].
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 3 + 2);
    let mut at = 0;
    loop {
        at += text[at..].bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        let (kind, length) = next(&text[at..]);
        tokens.push(Token { kind, start: at, end: at + length });
        if kind == Kind::End {
            return tokens;
        }
        at += length;
    }
}

/// The first token of `rest` and its length in bytes.
fn next(rest: &str) -> (Kind, usize) {
    let Some(first) = rest.chars().next() else { return (Kind::End, 0) };
    let two = rest.as_bytes().get(1);
    match first {
        'a'..='z' | 'A'..='Z' => {
            let length = word_length(rest);
            (keyword(&rest[..length]).unwrap_or(Kind::Name), length)
        }
        '#' => placeholder(rest, Kind::NameRef),
        ':' => placeholder(rest, Kind::ValueRef),
        '0' => (Kind::Number, 1),
        '1'..='9' => (Kind::Number, rest.bytes().take_while(u8::is_ascii_digit).count()),
        '.' => (Kind::Dot, 1),
        ',' => (Kind::Comma, 1),
        '(' => (Kind::Open, 1),
        ')' => (Kind::Close, 1),
        '[' => (Kind::OpenBracket, 1),
        ']' => (Kind::CloseBracket, 1),
        '+' => (Kind::Plus, 1),
        '-' => (Kind::Minus, 1),
        '=' => (Kind::Eq, 1),
        '<' if two == Some(&b'>') => (Kind::Ne, 2),
        '<' if two == Some(&b'=') => (Kind::Le, 2),
        '>' if two == Some(&b'=') => (Kind::Ge, 2),
        '<' => (Kind::Lt, 1),
        '>' => (Kind::Gt, 1),
        other => (Kind::Unknown, other.len_utf8()),
    }
}

fn word_length(text: &str) -> usize {
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

fn placeholder(rest: &str, kind: Kind) -> (Kind, usize) {
    match word_length(&rest[1..]) {
        0 => (Kind::Unknown, 1),
        length => (kind, 1 + length),
    }
}

fn keyword(word: &str) -> Option<Kind> {
    KEYWORDS.iter().find(|(keyword, _)| keyword.eq_ignore_ascii_case(word)).map(|(_, kind)| *kind)
}

/// The error at a token: it, and the text from the token before it to the one after it.
pub(crate) fn syntax_error(text: &str, tokens: &[Token], at: usize) -> ParseError {
    let token = tokens[at];
    // The end's own place is behind all blanks, and before the first token is the text's beginning.
    let start = at.checked_sub(1).map_or(0, |before| tokens[before].start);
    let end = tokens.get(at + 1).map_or(text.len(), |after| after.end);
    let near = text[start..end].to_owned();
    let token = if token.kind == Kind::End { "<EOF>" } else { &text[token.start..token.end] };
    ParseError::Syntax { token: token.to_owned(), near }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text).into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn blanks_separate_and_are_not_needed() {
        let expected = vec![Kind::Name, Kind::Eq, Kind::ValueRef, Kind::And, Kind::Open, Kind::End];
        assert_eq!(kinds("a=:s and("), expected);
        assert_eq!(kinds(" a\t=\r\n:s AnD ( "), expected);
        assert_eq!(kinds("a\u{a0}"), [Kind::Name, Kind::Unknown, Kind::End]);
    }

    #[test]
    fn the_longest_operator_is_taken() {
        assert_eq!(kinds("<><=>=<>"), [Kind::Ne, Kind::Le, Kind::Ge, Kind::Ne, Kind::End]);
        assert_eq!(kinds("< ="), [Kind::Lt, Kind::Eq, Kind::End]);
    }

    #[test]
    fn names_begin_with_a_letter_and_placeholders_with_anything() {
        assert_eq!(kinds("a_1"), [Kind::Name, Kind::End]);
        assert_eq!(kinds("_a"), [Kind::Unknown, Kind::Name, Kind::End]);
        assert_eq!(kinds("1a"), [Kind::Number, Kind::Name, Kind::End]);
        assert_eq!(
            kinds("#_ :1 # :é"),
            [Kind::NameRef, Kind::ValueRef, Kind::Unknown, Kind::Unknown, Kind::Unknown, Kind::End]
        );
    }

    #[test]
    fn numbers_have_no_leading_zeros() {
        assert_eq!(kinds("100 00"), [Kind::Number, Kind::Number, Kind::Number, Kind::End]);
    }

    #[test]
    fn syntax_errors_show_the_tokens_around() {
        let error = |text: &str, at| syntax_error(text, &tokens(text), at).to_string();
        assert_eq!(error("a  b  c d", 1), r#"Syntax error; token: "b", near: "a  b  c""#);
        assert_eq!(error("= a", 0), r#"Syntax error; token: "=", near: "= a""#);
        assert_eq!(error("a =", 2), r#"Syntax error; token: "<EOF>", near: "=""#);
        assert_eq!(error("  ", 0), r#"Syntax error; token: "<EOF>", near: "  ""#);
        assert_eq!(error(" a b ", 1), r#"Syntax error; token: "b", near: "a b ""#);
        assert_eq!(error(" a b ", 0), r#"Syntax error; token: "a", near: " a b""#);
    }
}
