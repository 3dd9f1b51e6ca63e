//! Sizes and times as Docker writes them.

use crate::decimal;
use crate::sys::fs::Time;

/// A number of bytes with three digits: `7.8MB`, `117MB`.
pub fn size(bytes: u64) -> String {
    digits(bytes, 3)
}

/// A number of bytes with four digits, as Docker has it where room is counted: `1.984MB`.
pub fn room(bytes: u64) -> String {
    digits(bytes, 4)
}

/// A number of bytes of memory in units of 1024, as Docker has it there: `560KiB`, `7.742GiB`.
pub fn binary(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = (1..UNITS.len()).take_while(|unit| bytes >> (10 * unit) > 0).count();
    let value = bytes as f64 / (1u64 << (10 * unit)) as f64;
    // Four digits in all, as printf's %.4g has them.
    let decimals = (1..4).find(|digits| value < 10f64.powi(*digits)).map_or(0, |digits| (4 - digits) as u32);
    let number = decimal::fixed(value, decimals);
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number}{}", UNITS[unit])
}

fn digits(bytes: u64, digits: i32) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    // What would be rounded up to a thousand is one of the next unit.
    let half = 0.5 * 10f64.powi(3 - digits);
    while value >= 1000.0 - half && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let before =
        (1..3).take_while(|power| value >= 10f64.powi(*power) - half * 10f64.powi(*power - 3)).count() as i32 + 1;
    let decimals = if unit == 0 { 0 } else { u32::try_from(digits - before).unwrap_or(0) };
    let number = decimal::fixed(value, decimals);
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number}{}", UNITS[unit])
}

/// The seconds since 1970 that an RFC 3339 time means (`2024-05-22T18:18:12.052034407Z`).
pub fn rfc3339(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let bytes = text.as_bytes();
    if !marks.iter().all(|(at, mark)| bytes.get(*at).is_some_and(|byte| byte.eq_ignore_ascii_case(mark))) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let rest = text.get(19..)?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let offset = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let seconds = zone.get(1..3)?.parse::<i64>().ok()? * 3600 + zone.get(4..6)?.parse::<i64>().ok()? * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // The days since 1970-01-01, with years that begin in March so that the leap day is a year's last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = days + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

/// A span of time as Docker says it (docker/go-units, HumanDuration).
pub fn duration(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

/// How long ago `seconds` since 1970 was, or `N/A`.
pub fn ago(seconds: Option<i64>) -> String {
    let Some(seconds) = seconds else { return "N/A".to_owned() };
    let now = i64::try_from(crate::store::containers::now()).unwrap_or(i64::MAX);
    format!("{} ago", duration(u64::try_from(now.saturating_sub(seconds)).unwrap_or(0)))
}

/// Seconds since 1970 as `2024-05-22T18:18:12`, in UTC; `between`: what stands in the place of the `T`.
pub fn utc(seconds: i64, between: char) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years that begin in March again; 400 of them have 146097 days.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}", year + era * 400)
}

/// A time as Docker's JSON has it: RFC 3339 in UTC, the fraction without zeros at its end.
pub fn exact(time: Time) -> String {
    let fraction = format!(".{:09}", time.nanoseconds);
    utc(time.seconds, 'T') + fraction.trim_end_matches('0').trim_end_matches('.') + "Z"
}

/// The seconds since 1970 of a time (RFC 3339, without a zone or without a time of day, too), of a number of
/// them, or of a span before now (`90s`, `1h30m`), as Docker takes them for `until`.
pub fn moment(text: &str) -> Option<i64> {
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = || text.split('.').next().filter(|_| is_number).and_then(|whole| whole.parse().ok());
    let before_now = || Some(i64::try_from(crate::store::containers::now()).ok()?.saturating_sub(span(text)?));
    rfc3339(&whole).or_else(number).or_else(before_now)
}

/// A span in Go's words, in whole seconds: `300ms`, `1.5h`, `1h10m10s`.
fn span(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number = decimal::parse(rest.get(..digits)?)?;
        let unit = rest.get(digits..)?;
        let unit = unit.get(..unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len()))?;
        seconds += number
            * match unit {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = rest.get(digits + unit.len()..)?;
    }
    (!text.is_empty()).then_some(seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_dockers() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1984, "1.98kB"),
            (7_800_000, "7.8MB"),
            (77_860_000, "77.9MB"),
            (117_200_000, "117MB"),
            (999_600_000, "1GB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1_984_383, "1.984MB"),
            (77_866_000, "77.87MB"),
            (117_250_000, "117.2MB"),
            (999_940_000, "999.9MB"),
            (999_960_000, "1GB"),
            (9_999_600, "10MB"),
            (5_000_000, "5MB"),
        ] {
            assert_eq!(room(bytes), text);
        }
    }

    #[test]
    fn memory_reads_as_dockers() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (573_440, "560KiB"),
            (64 << 20, "64MiB"),
            (1_619_000, "1.544MiB"),
            (12_910_000, "12.31MiB"),
            (8_312_000_000, "7.741GiB"),
            (u64::MAX, "16EiB"),
        ] {
            assert_eq!(binary(bytes), text);
        }
    }

    #[test]
    fn times_are_read() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:00:00.052034407Z", Some(1_709_208_000)),
            ("2024-05-22T20:18:12+02:00", Some(1_716_401_892)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800)),
            ("", None),
            ("2024-05-22", None),
            ("2024-13-22T18:18:12Z", None),
            ("2024-05-22T18:18:12", None),
            ("+024-05-22T18:18:12Z", None),
            ("é024-05-22T18:18:12Z", None),
            ("2024-05-22T18:18:12+é2:0", None),
        ] {
            assert_eq!(rfc3339(text), seconds, "{text}");
        }
    }

    #[test]
    fn times_are_written() {
        for text in ["1970-01-01T00:00:00", "2024-02-29T12:00:00", "2000-12-31T23:59:59", "0001-01-01T00:00:00"] {
            assert_eq!(utc(rfc3339(&format!("{text}Z")).unwrap(), 'T'), text);
        }
        for seconds in (-62_000_000_000..200_000_000_000).step_by(999_999_937) {
            assert_eq!(rfc3339(&(utc(seconds, 'T') + "Z")), Some(seconds));
        }
    }

    #[test]
    fn spans_of_time_are_told_as_docker_does() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (5, "5 seconds"),
            (60, "About a minute"),
            (180, "3 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (86400 * 3, "3 days"),
            (86400 * 21, "3 weeks"),
            (86400 * 90, "3 months"),
            (86400 * 800, "2 years"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn moments_come_in_many_forms() {
        for (text, seconds) in [
            ("2024-02-29T12:00:00Z", 1_709_208_000),
            ("2024-02-29T12:00:00", 1_709_208_000),
            ("2024-02-29", 1_709_164_800),
            ("1709208000", 1_709_208_000),
            ("1709208000.123", 1_709_208_000),
        ] {
            assert_eq!(moment(text), Some(seconds), "{text}");
        }
        for (text, seconds) in [("10s", 10), ("1h30m", 5400), ("1.5h", 5400), ("300ms", 0), ("24h", 86_400)] {
            assert_eq!(span(text), Some(seconds), "{text}");
            let now = i64::try_from(crate::store::containers::now()).unwrap();
            assert!((0..5).contains(&(moment(text).unwrap() - (now - seconds))), "{text}");
        }
        for text in ["", "h", "1d", "yesterday", "-", "1h-", "é", "."] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
