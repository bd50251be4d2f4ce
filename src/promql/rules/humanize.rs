//! The template functions that write numbers for people, after Prometheus' `template/template.go`.

use super::go_number::g4;
use crate::model::Timestamp;

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

fn scaled(
    mut value: f64,
    prefixes: [&'static str; 8],
    factor: f64,
    enough: impl Fn(f64) -> bool,
) -> (f64, &'static str) {
    let mut prefix = "";
    for next in prefixes {
        if enough(value.abs()) {
            break;
        }
        prefix = next;
        value *= factor;
    }
    (value, prefix)
}

/// `1.235M`, `12.35m`.
pub(super) fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return g4(value);
    }
    let (value, prefix) = if value.abs() >= 1.0 {
        scaled(value, LARGE, 1.0 / 1000.0, |size| size < 1000.0)
    } else {
        scaled(value, SMALL, 1000.0, |size| size >= 1.0)
    };
    format!("{}{prefix}", g4(value))
}

/// `1.178Mi`.
pub(super) fn humanize1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return g4(value);
    }
    let (value, prefix) = scaled(value, BINARY, 1.0 / 1024.0, |size| size < 1024.0);
    format!("{}{prefix}", g4(value))
}

/// `1d 10h 17m 36s`, `1.235s`, `12ms`.
pub(super) fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return g4(value);
    }
    if value == 0.0 {
        return format!("{}s", g4(value));
    }
    if value.abs() < 1.0 {
        let (value, prefix) = scaled(value, SMALL, 1000.0, |size| size >= 1.0);
        return format!("{}{prefix}s", g4(value));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    let whole = value as i64;
    let (seconds, minutes, hours, days) = (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86_400);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", g4(value))
    }
}

/// `12.35%`.
pub(super) fn humanize_percentage(value: f64) -> String {
    format!("{}%", g4(value * 100.0))
}

/// `2015-10-21 07:28:00 +0000 UTC`.
pub(super) fn humanize_timestamp(value: f64) -> String {
    let millis = value * 1000.0;
    if !millis.is_finite() || millis.abs() > 9e15 {
        return g4(value);
    }
    let text = Timestamp::from_millis(millis as i64).to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    let time = time.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    // Without its fraction the time may have lost zeros of its seconds.
    let time = format!("{time:0<8}");
    format!("{date} {time} +0000 UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values and texts from Prometheus' own `template_test.go`.
    #[test]
    fn numbers_are_written_as_prometheus_writes_them() {
        let cases: [(fn(f64) -> String, &[(f64, &str)]); 5] = [
            (
                humanize,
                &[
                    (0.0, "0"),
                    (1.0, "1"),
                    (1_234_567.0, "1.235M"),
                    (0.12, "120m"),
                    (f64::INFINITY, "+Inf"),
                    (-1500.0, "-1.5k"),
                ],
            ),
            (
                humanize1024,
                &[(0.0, "0"), (1.0, "1"), (1_048_576.0, "1Mi"), (0.12, "0.12")],
            ),
            (
                humanize_duration,
                &[
                    (0.0, "0s"),
                    (1.0, "1s"),
                    (60.0, "1m 0s"),
                    (3600.0, "1h 0m 0s"),
                    (86_400.0, "1d 0h 0m 0s"),
                    (86_400.0 + 3600.0, "1d 1h 0m 0s"),
                    (-(86_400.0 * 2.0 + 3600.0 * 3.0 + 60.0 * 4.0 + 5.0), "-2d 3h 4m 5s"),
                    (899.99, "14m 59s"),
                    (0.1, "100ms"),
                    (0.0001, "100us"),
                    (0.123_456_7, "123.5ms"),
                    (60.1, "1m 0s"),
                    (12.345_67, "12.35s"),
                ],
            ),
            (
                humanize_percentage,
                &[(-1.0, "-100%"), (0.0, "0%"), (0.123_456_7, "12.35%"), (1.0, "100%")],
            ),
            (
                humanize_timestamp,
                &[
                    (0.0, "1970-01-01 00:00:00 +0000 UTC"),
                    (1_435_065_584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
                    (50.0, "1970-01-01 00:00:50 +0000 UTC"),
                ],
            ),
        ];
        for (function, cases) in cases {
            for (value, text) in cases {
                assert_eq!(function(*value), *text, "{value}");
            }
        }
    }

    #[test]
    fn a_value_is_written_as_go_writes_it() {
        use super::super::go_number::v;
        let written: Vec<String> = [1e6, 123_456_789.0, 1e21, 0.000_01, 0.5, -0.0, 100.0].map(v).to_vec();
        assert_eq!(
            written,
            ["1e+06", "1.23456789e+08", "1e+21", "1e-05", "0.5", "-0", "100"]
        );
    }
}
