//! The time of a signature: ISO 8601 basic format, `20260102T030405Z`, always UTC and to the second.

use chrono::{DateTime, NaiveDate, Utc};

use crate::Error;

/// How far, in seconds, a signature's time may be from the server's, either way.
pub(crate) const SKEW_SECONDS: i64 = 15 * 60;

const LEN: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    unix: i64,
    basic: [u8; LEN],
}

impl Timestamp {
    /// Seconds outside the years 1970 to 9999 become the nearest second within.
    pub(crate) fn at(unix: i64) -> Timestamp {
        const LAST: i64 = 253_402_300_799;
        let unix = unix.clamp(0, LAST);
        let time = DateTime::<Utc>::from_timestamp(unix, 0).expect("clamped to years of four digits");
        let text = time.format("%Y%m%dT%H%M%SZ").to_string();
        let basic = text.as_bytes().try_into().expect("a year has four digits");
        Timestamp { unix, basic }
    }

    /// Reads the basic format or, as a `Date` header may have it, the format of RFC 2822.
    pub(crate) fn parse(text: &str) -> Result<Timestamp, Error> {
        parse_basic(text)
            .or_else(|| DateTime::parse_from_rfc2822(text).ok().map(|time| Timestamp::at(time.timestamp())))
            .ok_or_else(|| Error::BadDate { date: text.into() })
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.basic).expect("checked to be ASCII when made")
    }

    /// The day as it stands in a credential scope: `20260102`.
    pub(crate) fn day(&self) -> &str {
        &self.as_str()[..8]
    }

    /// Refuses a time further from `now` (Unix seconds) than [`SKEW_SECONDS`].
    pub(crate) fn check_skew(&self, now: i64) -> Result<(), Error> {
        if self.unix < now - SKEW_SECONDS {
            let [signed, limit, now] =
                [*self, Timestamp::at(now - SKEW_SECONDS), Timestamp::at(now)].map(String::from);
            return Err(Error::Expired { signed, limit, now });
        }
        if self.unix > now + SKEW_SECONDS {
            let [signed, limit, now] =
                [*self, Timestamp::at(now + SKEW_SECONDS), Timestamp::at(now)].map(String::from);
            return Err(Error::NotYetCurrent { signed, limit, now });
        }
        Ok(())
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> String {
        timestamp.as_str().to_owned()
    }
}

fn parse_basic(text: &str) -> Option<Timestamp> {
    let basic: [u8; LEN] = text.as_bytes().try_into().ok()?;
    if basic[8] != b'T' || basic[15] != b'Z' {
        return None;
    }
    let [year, month, day] = [&basic[..4], &basic[4..6], &basic[6..8]].map(number);
    let [hour, minute, second] = [&basic[9..11], &basic[11..13], &basic[13..15]].map(number);
    let date = NaiveDate::from_ymd_opt(i32::try_from(year?).ok()?, month?, day?)?;
    let unix = date.and_hms_opt(hour?, minute?, second?)?.and_utc().timestamp();
    Some(Timestamp { unix, basic })
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_440_938_160;

    #[test]
    fn both_formats_mean_the_same() {
        let basic = Timestamp::parse("20150830T123600Z").unwrap();
        assert_eq!(basic, Timestamp::at(NOW));
        assert_eq!(basic, Timestamp::parse("Sun, 30 Aug 2015 12:36:00 GMT").unwrap());
        assert_eq!(basic, Timestamp::parse("Sun, 30 Aug 2015 12:36:00 -0000").unwrap());
        assert_eq!((basic.as_str(), basic.day()), ("20150830T123600Z", "20150830"));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for bad in
            ["", "201", "20150830T123600", "20150830T123600z", "20150230T000000Z", "2015083\u{e9}T12360Z"]
        {
            let refused = Timestamp::parse(bad).unwrap_err();
            assert_eq!(refused, Error::BadDate { date: bad.into() });
        }
    }

    #[test]
    fn fifteen_minutes_are_close_enough_and_a_second_more_is_not() {
        let signed = Timestamp::at(NOW);
        assert_eq!(signed.check_skew(NOW + SKEW_SECONDS), Ok(()));
        assert_eq!(signed.check_skew(NOW - SKEW_SECONDS), Ok(()));
        assert!(matches!(signed.check_skew(NOW + SKEW_SECONDS + 1), Err(Error::Expired { .. })));
        assert!(matches!(signed.check_skew(NOW - SKEW_SECONDS - 1), Err(Error::NotYetCurrent { .. })));
    }

    #[test]
    fn times_that_no_calendar_has_do_not_panic() {
        assert_eq!(Timestamp::at(i64::MIN).as_str(), "19700101T000000Z");
        assert_eq!(Timestamp::at(i64::MAX).as_str(), "99991231T235959Z");
    }
}
