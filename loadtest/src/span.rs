//! Lengths of time as people write them in scenarios and on the command line: `500ms`, `60s`, `2m`, `1h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Span(pub Duration);

impl Span {
    pub const fn from_secs(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let seconds_in_unit = match &text[unit..] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(format!("{text:?} is no length of time such as 500ms, 60s, 2m or 1h")),
        };
        let number: f64 =
            text[..unit].parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
        let length = Duration::try_from_secs_f64(number * seconds_in_unit);
        length.map(Span).map_err(|_| format!("{text:?} is out of range"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        match ms {
            _ if ms == 0 || !ms.is_multiple_of(1000) => write!(out, "{ms}ms"),
            _ if ms.is_multiple_of(3_600_000) => write!(out, "{}h", ms / 3_600_000),
            _ if ms.is_multiple_of(60_000) => write!(out, "{}m", ms / 60_000),
            _ => write!(out, "{}s", ms / 1000),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_round_trip_as_text() {
        for text in ["0ms", "500ms", "59s", "2m", "90s", "1h", "26h"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        assert_eq!("1.5s".parse::<Span>().unwrap().0, Duration::from_millis(1500));
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "5", "s", "-1s", "1d", "1e300h", "NaNs", "5 s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
