//! Parses and formats times as users write and read them. Does not read the clock.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// Parses `1h` and `30m` (that long before `now`), `2026-11-20`, `2026-11-20T10:00` (UTC), and
/// `2026-11-20T10:00+01:00`. Returns microseconds since 1970.
pub fn instant(text: &str, now: Timestamp) -> Result<i64, String> {
    let text = text.trim();
    if let Ok(age) = humantime::parse_duration(text) {
        return now
            .checked_sub(age)
            .map(Timestamp::as_microsecond)
            .map_err(|_| format!("`{text}` is too long ago"));
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant.as_microsecond());
    }
    let civil: Result<DateTime, _> = text.parse();
    civil
        .and_then(|civil| civil.to_zoned_datetime(TimeZone::UTC))
        .map(|zoned| zoned.timestamp().as_microsecond())
        .map_err(|_| {
            format!(
                "`{text}` is not a valid time: write an age such as `90m`, `2h` or `7days`, or a time such as `2026-11-20`, \
                 `2026-11-20T10:00` (UTC), `2026-11-20T10:00+01:00`"
            )
        })
}

/// Formats microseconds since 1970 as `2026-11-20T10:00:00.123456Z`.
pub fn readable(microseconds: i64) -> String {
    Timestamp::from_microsecond(microseconds).map_or_else(
        |_| microseconds.to_string(),
        |instant| format!("{instant:.6}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("1h", "2026-11-20T09:00:00.000000Z"),
            ("90m", "2026-11-20T08:30:00.000000Z"),
            ("7days", "2026-11-13T10:00:00.000000Z"),
            ("2026-11-19", "2026-11-19T00:00:00.000000Z"),
            ("2026-11-19T12:30", "2026-11-19T12:30:00.000000Z"),
            ("2026-11-19T12:30:01.5", "2026-11-19T12:30:01.500000Z"),
            ("2026-11-19T12:30+01:00", "2026-11-19T11:30:00.000000Z"),
            ("2026-11-19 12:30Z", "2026-11-19T12:30:00.000000Z"),
        ] {
            let read = instant(text, now).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(readable(read), expected, "{text}");
        }
        assert!(instant("yesterday", now).unwrap_err().contains("`2h`"));
        assert!(instant("999999years", now).is_err());
    }
}
