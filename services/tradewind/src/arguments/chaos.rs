//! The arguments of `tradewind chaos` and `tradewind verify`.

use std::time::Duration;

use clap::{Args, Subcommand};
use tradewind_model::Region;

use super::Query;

#[derive(Subcommand)]
pub enum Chaos {
    /// Disturb the link between two regions, in both directions unless --one-way is given
    Link(LinkTrouble),
    /// Set a region's clock off: +300ms is ahead, -2s behind, 0 as it should be
    Clock {
        of: Region,
        #[arg(allow_hyphen_values = true, value_parser = skew)]
        skew_ms: i64,
        #[command(flatten)]
        query: Query,
    },
    /// Show what is disturbed
    Show(Query),
    /// Heal all links and set all clocks right
    Reset(Query),
}

#[derive(Args)]
pub struct LinkTrouble {
    pub from: Region,
    pub to: Region,
    /// Only what the first region sends to the second
    #[arg(long)]
    pub one_way: bool,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub query: Query,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct What {
    /// Everything arrives so much later: 800ms, 2s
    #[arg(long, value_parser = delay)]
    pub delay: Option<Duration>,
    /// Nothing arrives, and the sender knows at once
    #[arg(long)]
    pub cut: bool,
    /// Nothing arrives until the link is healed, and the sender waits
    #[arg(long)]
    pub pause: bool,
    /// As it should be
    #[arg(long)]
    pub heal: bool,
}

#[derive(Args)]
pub struct Verify {
    /// The table, which has replicas in other regions
    pub table: String,
    /// How long regions may take to apply what the others have written: 10s, 2m
    #[arg(long, default_value = "10s", value_parser = delay)]
    pub wait: Duration,
    /// At most so many differing keys
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    #[command(flatten)]
    pub query: Query,
}

fn delay(text: &str) -> Result<Duration, String> {
    let ms = milliseconds(text).ok_or_else(|| "a time is written like 800ms, 2s or 1m".to_owned())?;
    Ok(Duration::from_millis(ms))
}

fn skew(text: &str) -> Result<i64, String> {
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("-", rest)) => (-1, rest),
        Some(("+", rest)) => (1, rest),
        _ => (1, text),
    };
    let ms = if rest == "0" { Some(0) } else { milliseconds(rest) };
    let ms = ms.and_then(|ms| i64::try_from(ms).ok());
    ms.map(|ms| sign * ms).ok_or_else(|| "a skew is written like +300ms, -2s or 0".to_owned())
}

fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|each: char| each.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_their_unit() {
        assert_eq!(delay("800ms"), Ok(Duration::from_millis(800)));
        assert_eq!(delay("2m"), Ok(Duration::from_secs(120)));
        assert!(delay("800").is_err() && delay("ms").is_err() && delay("99999999999999999999s").is_err());
        assert_eq!(skew("+300ms"), Ok(300));
        assert_eq!(skew("-2s"), Ok(-2000));
        assert_eq!(skew("0"), Ok(0));
        assert!(skew("").is_err() && skew("--2s").is_err());
    }
}
