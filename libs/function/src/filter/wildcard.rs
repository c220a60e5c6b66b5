//! `*` for any characters, `\*` and `\\` for the characters themselves.

/// The literal pieces between the stars.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wildcard {
    pieces: Vec<String>,
}

impl Wildcard {
    /// `None` for two stars in a row and for unknown escapes.
    pub fn parse(pattern: &str) -> Option<Wildcard> {
        let mut pieces = vec![String::new()];
        let mut characters = pattern.chars();
        let mut after_star = false;
        while let Some(character) = characters.next() {
            let literal = match character {
                '*' if after_star => return None,
                '*' => {
                    pieces.push(String::new());
                    after_star = true;
                    continue;
                }
                '\\' => characters.next().filter(|escaped| matches!(escaped, '*' | '\\'))?,
                other => other,
            };
            after_star = false;
            pieces.last_mut()?.push(literal);
        }
        Some(Wildcard { pieces })
    }

    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return false };
        let Some((last, middle)) = rest.split_last() else { return text == first };
        let Some(text) = text.strip_prefix(first.as_str()) else { return false };
        let Some(mut text) = text.strip_suffix(last.as_str()) else { return false };
        // The earliest place for each piece leaves the most for those that follow.
        for piece in middle {
            let Some(at) = text.find(piece.as_str()) else { return false };
            text = &text[at + piece.len()..];
        }
        true
    }
}
