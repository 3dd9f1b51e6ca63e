//! Decimal numbers with a point, read and written.
//!
//! The standard library does it for every number there is, with exponents and with all digits, and takes 30 KiB of the
//! binary for that.

/// The number that digits make, with a point among them or none: `1.5`, `.5`, `-2`. It is exact up to 15 digits.
pub fn parse(text: &str) -> Option<f64> {
    /// More digits than these change nothing.
    const DIGITS: usize = 20;
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |text| (-1.0, text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut all = whole.bytes().chain(fraction.bytes());
    if whole.len() + fraction.len() == 0 || !all.all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.get(..DIGITS).unwrap_or(fraction);
    let digits = whole.bytes().chain(fraction.bytes());
    let number = digits.fold(0.0, |number, digit| number * 10.0 + f64::from(digit - b'0'));
    Some(sign * number / (0..fraction.len()).fold(1.0, |power, _| power * 10.0))
}

/// A number that is not negative with so many decimals, as printf's `%.Nf` has it; `u64::MAX` at most.
pub fn fixed(number: f64, decimals: u32) -> String {
    let scale = 10u64.saturating_pow(decimals.min(9));
    // A double is an integer of 53 bits times a power of two, so that it can be rounded without any error.
    let bits = number.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as u32, bits & ((1 << 52) - 1));
    let mantissa = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    let scaled = u128::from(mantissa) * u128::from(scale);
    let rounded = match 1075 - exponent.max(1) as i32 {
        shift @ 1..=127 => {
            let (whole, rest, half) = (scaled >> shift, scaled & ((1 << shift) - 1), 1 << (shift - 1));
            whole + u128::from(rest > half || rest == half && whole & 1 == 1)
        }
        128.. => 0,
        shift => scaled.checked_shl(shift.unsigned_abs()).filter(|_| shift >= -11).unwrap_or(u128::MAX),
    };
    let rounded = u64::try_from(rounded).unwrap_or(u64::MAX);
    match rounded % scale {
        _ if scale == 1 => rounded.to_string(),
        rest => format!("{}.{rest:0width$}", rounded / scale, width = decimals as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_standard_library_does() {
        for text in ["0", "1.5", ".5", "5.", "007.250", "-2.5", "0.1", "123456.789", "0.000001", "99999999999"] {
            assert_eq!(parse(text), text.parse().ok(), "{text}");
        }
        let third = parse("0.33333333333333333333333333").unwrap();
        assert!((third - 1.0 / 3.0).abs() < 1e-15, "{third}");
        for text in ["", ".", "-", "1e3", "inf", "nan", "+1", "1.2.3", "--1", " 1", "1-", "\u{661}"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        let written = |number: f64| {
            for decimals in 0..5 {
                let wanted = format!("{number:.width$}", width = decimals as usize);
                assert_eq!(fixed(number, decimals), wanted, "{number} with {decimals}");
            }
        };
        let edges = [0.0, 0.5, 1.5, 2.5, 0.125, 0.375, 1.005, 11.155, 999.995, 1023.999, 1e-9, 5e-324, 4e14, 1e12];
        edges.into_iter().for_each(written);
        let mut seed = 1u64;
        for _ in 0..100_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // What is shown are bytes, seconds and per cents.
            written((seed >> 20) as f64 / 10f64.powi((seed % 13) as i32));
            written((seed >> 50) as f64 / 1000.0);
        }
        assert_eq!(fixed(f64::INFINITY, 0), u64::MAX.to_string());
        assert_eq!(fixed(1e300, 0), u64::MAX.to_string());
    }
}
