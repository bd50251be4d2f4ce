//! Numbers as Go's `fmt` writes them.

/// `%v` of a float64: the shortest text that reads back as the same, with an exponent below 1e-4 and from 1e6 on.
pub(super) fn v(value: f64) -> String {
    if let Some(word) = word(value) {
        return word;
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..6).contains(&exponent) {
        return format!("{digits}e{}", signed(exponent));
    }
    format!("{value}")
}

/// `%.4g`.
pub(super) fn g4(value: f64) -> String {
    if let Some(word) = word(value) {
        return word;
    }
    let scientific = format!("{value:.3e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |digits: &str| {
        if digits.contains('.') {
            digits.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            digits.to_owned()
        }
    };
    if (-4..4).contains(&exponent) {
        let decimals = usize::try_from(3 - exponent).unwrap_or(0);
        return trimmed(&format!("{value:.decimals$}"));
    }
    format!("{}e{}", trimmed(digits), signed(exponent))
}

fn word(value: f64) -> Option<String> {
    if value.is_nan() {
        return Some("NaN".into());
    }
    value
        .is_infinite()
        .then(|| if value > 0.0 { "+Inf".into() } else { "-Inf".into() })
}

fn signed(exponent: i32) -> String {
    format!("{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}
