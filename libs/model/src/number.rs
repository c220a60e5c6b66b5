//! Numbers: exact decimals of up to 38 significant digits, 1E-130 to 9.99…E+125 and their negatives, and zero.
//!
//! The stored form is canonical and sorts as the numbers do, so that equality, order and keys need no decoding:
//!
//! ```text
//! zero       80
//! positive   C0+E  d₁+1 d₂+1 … dₙ+1          value = 0.d₁d₂…dₙ × 100^E, each d two decimal digits, dₙ ≠ 0
//! negative   3F-E  101-d₁ … 101-dₙ  66       the complement, ended by a byte above every digit
//! ```
//!
//! Its length is also the size that DynamoDB counts for the number. (Developer guide, "Item sizes and formats" and
//! "Supported data types: number".)

use std::cmp::Ordering;
use std::fmt;

/// The most significant digits a number can have.
pub const MAX_DIGITS: u32 = 38;
/// Decimal exponents of the most significant digit.
const MAX_MAGNITUDE: i32 = 125;
const MIN_MAGNITUDE: i32 = -130;
/// Longer texts cannot be numbers; it bounds what a hostile one costs. Zeros beyond it are nobody's honest notation.
const MAX_TEXT: usize = 4096;

const ZERO: u8 = 0x80;
const POSITIVE_BIAS: i32 = 0xC0;
const NEGATIVE_BIAS: i32 = 0x3F;
const NEGATIVE_END: u8 = 0x66;

/// `±coefficient × 10^exponent`, the coefficient without trailing zeros and at most 38 digits; zero is `0 × 10^0`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    coefficient: u128,
    exponent: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("The parameter cannot be converted to a numeric value")]
    NotANumber,
    #[error("Attempting to store more than 38 significant digits in a Number")]
    TooManyDigits,
    #[error("Number overflow. Attempting to store a number with magnitude larger than supported range")]
    Overflow,
    #[error("Number underflow. Attempting to store a number with magnitude smaller than supported range")]
    Underflow,
}

impl Number {
    pub const ZERO: Number = Number { negative: false, coefficient: 0, exponent: 0 };

    /// Reads DynamoDB's decimal notation: `-12.5`, `+1e10`, `.5`, `5.`.
    pub fn parse(text: &str) -> Result<Number, NumberError> {
        if text.len() > MAX_TEXT {
            return Err(NumberError::NotANumber);
        }
        let bytes = text.as_bytes();
        let (negative, rest) = match bytes.first() {
            Some(b'-') => (true, &bytes[1..]),
            Some(b'+') => (false, &bytes[1..]),
            _ => (false, bytes),
        };
        let split = rest.iter().position(|b| matches!(b, b'e' | b'E')).unwrap_or(rest.len());
        let (mantissa, power) = rest.split_at(split);
        let power = if power.is_empty() { 0 } else { parse_power(&power[1..])? };
        let digits = Digits::scan(mantissa)?;
        digits.into_number(negative, power)
    }

    /// From a coefficient of any form; checks digits and range.
    pub fn from_parts(
        negative: bool,
        mut coefficient: u128,
        mut exponent: i32,
    ) -> Result<Number, NumberError> {
        if coefficient == 0 {
            return Ok(Number::ZERO);
        }
        while coefficient.is_multiple_of(10) {
            coefficient /= 10;
            exponent += 1;
        }
        let digits = digit_count(coefficient);
        let magnitude = exponent.saturating_add(digits as i32 - 1);
        if digits > MAX_DIGITS {
            return Err(NumberError::TooManyDigits);
        }
        match magnitude {
            ..MIN_MAGNITUDE => Err(NumberError::Underflow),
            MIN_MAGNITUDE..=MAX_MAGNITUDE => Ok(Number { negative, coefficient, exponent }),
            _ => Err(NumberError::Overflow),
        }
    }

    pub fn is_negative(&self) -> bool {
        self.negative
    }

    pub fn negated(self) -> Number {
        Number { negative: !self.negative && self.coefficient != 0, ..self }
    }

    /// The exact sum. One that needs more than 38 digits is an [`NumberError::Overflow`], as DynamoDB says it.
    pub fn checked_add(self, other: Number) -> Result<Number, NumberError> {
        if self.coefficient == 0 || other.coefficient == 0 {
            return Ok(if self.coefficient == 0 { other } else { self });
        }
        let exponent = self.exponent.min(other.exponent);
        // The operand with the lower exponent ends in a digit other than 0 and is not scaled, so the sum ends there
        // too: where scaling the other leaves 128 bits, the sum has more than 38 digits.
        let a = self.scaled_to(exponent).ok_or(NumberError::Overflow)?;
        let b = other.scaled_to(exponent).ok_or(NumberError::Overflow)?;
        let (negative, sum) = if self.negative == other.negative {
            (self.negative, a.checked_add(b).ok_or(NumberError::Overflow)?)
        } else if a >= b {
            (self.negative, a - b)
        } else {
            (other.negative, b - a)
        };
        Number::from_parts(negative, sum, exponent).map_err(|error| match error {
            NumberError::TooManyDigits => NumberError::Overflow,
            other => other,
        })
    }

    pub fn checked_sub(self, other: Number) -> Result<Number, NumberError> {
        self.checked_add(other.negated())
    }

    fn scaled_to(self, exponent: i32) -> Option<u128> {
        let power = u32::try_from(self.exponent - exponent).ok()?;
        10u128.checked_pow(power)?.checked_mul(self.coefficient)
    }

    /// The whole part, where it fits (TTL and the like).
    pub fn trunc_i64(&self) -> Option<i64> {
        let whole = if self.exponent >= 0 {
            10u128.checked_pow(self.exponent as u32)?.checked_mul(self.coefficient)?
        } else {
            10u128.checked_pow(self.exponent.unsigned_abs()).map_or(0, |scale| self.coefficient / scale)
        };
        let whole = i64::try_from(whole).ok()?;
        Some(if self.negative { -whole } else { whole })
    }

    /// Appends the stored form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if self.coefficient == 0 {
            return out.push(ZERO);
        }
        // Whole pairs of digits: the lowest pair begins at an even exponent.
        let odd = self.exponent.rem_euclid(2);
        let mut pairs = [0u8; 20];
        let mut count = 0;
        let mut rest = self.coefficient;
        if odd == 1 {
            pairs[0] = (rest % 10) as u8 * 10;
            rest /= 10;
            count = 1;
        }
        while rest > 0 {
            pairs[count] = (rest % 100) as u8;
            rest /= 100;
            count += 1;
        }
        let lowest = self.exponent.div_euclid(2);
        let exponent = lowest + count as i32;
        let digits = pairs[..count].iter().rev();
        if self.negative {
            out.push((NEGATIVE_BIAS - exponent) as u8);
            out.extend(digits.map(|pair| 101 - pair));
            out.push(NEGATIVE_END);
        } else {
            out.push((POSITIVE_BIAS + exponent) as u8);
            out.extend(digits.map(|pair| pair + 1));
        }
    }

    /// Reads the stored form; `None` if it is not one.
    pub fn decode(bytes: &[u8]) -> Option<Number> {
        let (&head, body) = bytes.split_first()?;
        if body.is_empty() {
            return (head == ZERO).then_some(Number::ZERO);
        }
        let negative = head < ZERO;
        let (exponent, digits) = if negative {
            (NEGATIVE_BIAS - i32::from(head), body.strip_suffix(&[NEGATIVE_END])?)
        } else {
            (i32::from(head) - POSITIVE_BIAS, body)
        };
        let pair = |byte: u8| if negative { 101u8.checked_sub(byte) } else { byte.checked_sub(1) };
        let (last, leading) = digits.split_last()?;
        let mut coefficient: u128 = 0;
        for byte in leading {
            coefficient = coefficient.checked_mul(100)?.checked_add(u128::from(pair(*byte)?))?;
        }
        // 38 digits may lie in 20 pairs, more than 128 bits hold: the last pair's own zero is not taken in.
        let last = pair(*last)?;
        let lowest = 2 * (exponent - digits.len() as i32);
        let (scale, last, lowest) =
            if last.is_multiple_of(10) { (10, last / 10, lowest + 1) } else { (100, last, lowest) };
        let coefficient = coefficient.checked_mul(scale)?.checked_add(u128::from(last))?;
        Number::from_parts(negative, coefficient, lowest).ok()
    }
}

/// The digits of a mantissa, zeros at both ends stripped.
struct Digits {
    coefficient: u128,
    /// Of the last kept digit.
    exponent: i32,
    too_many: bool,
}

impl Digits {
    fn scan(mantissa: &[u8]) -> Result<Digits, NumberError> {
        let mut digits = Digits { coefficient: 0, exponent: 0, too_many: false };
        let (mut seen_any, mut point) = (false, false);
        let mut zeros = 0; // pending zeros that count only if another digit follows
        let mut kept = 0;
        for byte in mantissa {
            match byte {
                b'.' if !point => {
                    point = true;
                    continue;
                }
                b'0'..=b'9' => seen_any = true,
                _ => return Err(NumberError::NotANumber),
            }
            if point {
                digits.exponent -= 1;
            }
            if *byte == b'0' {
                zeros += 1;
                continue;
            }
            kept += if kept == 0 { 1 } else { zeros + 1 };
            if kept > MAX_DIGITS {
                digits.too_many = true;
            } else {
                let shift = if digits.coefficient == 0 { 1 } else { 10u128.pow(zeros + 1) };
                digits.coefficient = digits.coefficient * shift + u128::from(byte - b'0');
            }
            zeros = 0;
        }
        if kept > 0 {
            digits.exponent += zeros as i32;
        }
        if seen_any { Ok(digits) } else { Err(NumberError::NotANumber) }
    }

    fn into_number(self, negative: bool, power: i32) -> Result<Number, NumberError> {
        if self.too_many {
            return Err(NumberError::TooManyDigits);
        }
        let exponent = self.exponent.saturating_add(power);
        if self.coefficient == 0 {
            return zero_of_exponent(exponent);
        }
        Number::from_parts(negative, self.coefficient, exponent)
    }
}

/// DynamoDB refuses zeros whose written exponent is out of range (`0e126`) although `0.0e126` passes.
fn zero_of_exponent(exponent: i32) -> Result<Number, NumberError> {
    match exponent {
        ..MIN_MAGNITUDE => Err(NumberError::Underflow),
        MIN_MAGNITUDE..=MAX_MAGNITUDE => Ok(Number::ZERO),
        _ => Err(NumberError::Overflow),
    }
}

/// An exponent's digits; saturates far outside the range of numbers, whatever its length.
fn parse_power(bytes: &[u8]) -> Result<i32, NumberError> {
    let (negative, digits) = match bytes.first() {
        Some(b'-') => (true, &bytes[1..]),
        Some(b'+') => (false, &bytes[1..]),
        _ => (false, bytes),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumberError::NotANumber);
    }
    let power =
        digits.iter().fold(0i32, |power, digit| (power * 10 + i32::from(digit - b'0')).min(100_000_000));
    Ok(if negative { -power } else { power })
}

fn digit_count(coefficient: u128) -> u32 {
    coefficient.checked_ilog10().map_or(1, |log| log + 1)
}

impl From<u64> for Number {
    fn from(value: u64) -> Number {
        Number::from_parts(false, u128::from(value), 0).expect("20 digits at most")
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        let (mut a, mut b) = (Vec::with_capacity(24), Vec::with_capacity(24));
        self.encode(&mut a);
        other.encode(&mut b);
        a.cmp(&b)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Plain decimal, never an exponent: DynamoDB's own output.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let digits = self.coefficient.to_string();
        if self.exponent >= 0 {
            return write!(f, "{sign}{digits}{:0<1$}", "", self.exponent as usize);
        }
        let decimals = self.exponent.unsigned_abs() as usize;
        match digits.len().checked_sub(decimals) {
            Some(whole @ 1..) => write!(f, "{sign}{}.{}", &digits[..whole], &digits[whole..]),
            _ => write!(f, "{sign}0.{digits:0>decimals$}"),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn n(text: &str) -> Number {
        Number::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn stored(number: Number) -> Vec<u8> {
        let mut out = Vec::new();
        number.encode(&mut out);
        out
    }

    #[test]
    fn output_is_canonical() {
        for (given, expected) in [
            ("1E3", "1000"),
            ("-0", "0"),
            ("1.0", "1"),
            ("+.50", "0.5"),
            ("5.", "5"),
            ("-12.340", "-12.34"),
            ("000123", "123"),
            ("1e-5", "0.00001"),
            ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ] {
            assert_eq!(n(given).to_string(), expected);
        }
    }

    #[test]
    fn range_and_digits_are_bounded() {
        let largest = format!("{}{}", "9".repeat(38), "0".repeat(88));
        assert_eq!(n("9.9999999999999999999999999999999999999E+125").to_string(), largest);
        assert_eq!(stored(n("1E-130")), [0x80, 2]);
        assert_eq!(Number::parse("1E126"), Err(NumberError::Overflow));
        assert_eq!(Number::parse("1E-131"), Err(NumberError::Underflow));
        assert_eq!(Number::parse(&"1".repeat(39)), Err(NumberError::TooManyDigits));
        assert_eq!(n(&format!("1{}", "0".repeat(60))).to_string().len(), 61);
        assert_eq!(Number::parse("0e126"), Err(NumberError::Overflow));
        assert_eq!(n("0.0e126"), Number::ZERO);
        assert_eq!(Number::parse("1.0e100000000"), Err(NumberError::Overflow));
        for bad in ["", "-", ".", "1e", "NaN", "Infinity", "0x1", " 1", "1 ", "1.2.3", "1e1.5", "--1"] {
            assert_eq!(Number::parse(bad), Err(NumberError::NotANumber), "{bad:?}");
        }
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let sum = |a: &str, b: &str| n(a).checked_add(n(b)).map(|sum| sum.to_string());
        assert_eq!(sum("0.1", "0.2"), Ok("0.3".into()));
        assert_eq!(sum("1e50", "1"), Err(NumberError::Overflow));
        assert_eq!(sum("1e38", "-1"), Ok("9".repeat(38)));
        assert_eq!(sum("5", "-5"), Ok("0".into()));
        assert_eq!(sum("9e125", "9e125"), Err(NumberError::Overflow));
        assert_eq!(sum("-3", "1.5"), Ok("-1.5".into()));
    }

    #[test]
    fn stored_length_is_the_size_dynamodb_counts() {
        for (text, size) in [
            ("0", 1),
            ("1", 2),
            ("-1", 3),
            ("12", 2),
            ("123", 3),
            ("100", 2),
            ("10", 2),
            ("1.5", 3),
            ("0.5", 2),
        ] {
            assert_eq!(stored(n(text)).len(), size, "{text}");
        }
    }

    fn any_number() -> impl Strategy<Value = Number> {
        (any::<bool>(), 0u128..10u128.pow(38), -130i32..88)
            .prop_filter_map("in range", |(negative, c, e)| Number::from_parts(negative, c, e).ok())
    }

    proptest! {
        #[test]
        fn encoding_and_text_round_trip(number in any_number()) {
            prop_assert_eq!(Number::decode(&stored(number)), Some(number));
            prop_assert_eq!(n(&number.to_string()), number);
        }

        #[test]
        fn stored_order_is_numeric_order(a in any_number(), b in any_number()) {
            let by_difference = match a.checked_sub(b) {
                Ok(difference) if difference == Number::ZERO => Ordering::Equal,
                Ok(difference) if difference.is_negative() => Ordering::Less,
                Ok(_) => Ordering::Greater,
                Err(_) => return Ok(()),
            };
            prop_assert_eq!(stored(a).cmp(&stored(b)), by_difference);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Number::decode(&bytes);
        }
    }
}
