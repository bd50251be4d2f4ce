//! Arithmetic as Prometheus does it: compensated sums, means that do not overflow, quantiles, numbers as text.

use std::cmp::Ordering;

/// A sum with Neumaier's compensation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    /// Without compensation.
    pub(super) raw: f64,
    /// To be added at the end.
    pub(super) rest: f64,
}

impl Sum {
    /// One more term.
    #[must_use]
    pub(super) fn plus(self, term: f64) -> Self {
        let total = self.raw + term;
        let rest = if total.is_infinite() {
            0.0
        } else if self.raw.abs() >= term.abs() {
            self.rest + ((self.raw - total) + term)
        } else {
            self.rest + ((term - total) + self.raw)
        };
        Self { raw: total, rest }
    }

    /// The sum.
    pub(super) fn total(self) -> f64 {
        if self.raw.is_infinite() {
            self.raw
        } else {
            self.raw + self.rest
        }
    }
}

/// A mean that goes over to stepwise reckoning when the sum would overflow.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mean {
    sum: Sum,
    count: f64,
    stepwise: bool,
}

impl Mean {
    /// One more value.
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.sum = Sum { raw: value, rest: 0.0 };
            return;
        }
        if !self.stepwise {
            let next = self.sum.plus(value);
            if !next.raw.is_infinite() {
                self.sum = next;
                return;
            }
            self.stepwise = true;
            self.sum.raw /= self.count - 1.0;
            self.sum.rest /= self.count - 1.0;
        }
        let part = (self.count - 1.0) / self.count;
        self.sum = Sum {
            raw: part * self.sum.raw,
            rest: part * self.sum.rest,
        }
        .plus(value / self.count);
    }

    /// The mean; NaN of nothing.
    pub(super) fn mean(self) -> f64 {
        if self.stepwise {
            self.sum.raw + self.sum.rest
        } else {
            self.sum.raw / self.count + self.sum.rest / self.count
        }
    }
}

/// Variance by Welford's method.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Variance {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Variance {
    /// One more value.
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - (self.mean.raw + self.mean.rest);
        self.mean = self.mean.plus(delta / self.count);
        self.squares = self.squares.plus(delta * (value - (self.mean.raw + self.mean.rest)));
    }

    /// Of the population.
    pub(super) fn variance(self) -> f64 {
        (self.squares.raw + self.squares.rest) / self.count
    }
}

/// By value, NaN before all others.
pub(super) fn nan_first(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        _ => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
    }
}

/// The q-quantile with linear interpolation between neighbours.
pub(super) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| nan_first(*a, *b));
    let n = values.len() as f64;
    let rank = q * (n - 1.0);
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(n - 1.0);
    let weight = rank - rank.floor();
    values[lower as usize] * (1.0 - weight) + values[upper as usize] * weight
}

/// Go's `math.Max`: NaN wins.
pub(super) fn max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// Go's `math.Min`: NaN wins.
pub(super) fn min(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// True if both are the same but for rounding, relative to their size.
pub(super) fn almost_equal(a: f64, b: f64, tolerance: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let sum = a.abs() + b.abs();
    let apart = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return apart < tolerance * f64::MIN_POSITIVE;
    }
    apart / sum.min(f64::MAX) < tolerance
}

/// A number as Prometheus' API writes it.
pub fn text(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.into()
    } else {
        format!("{value}")
    }
}

/// A span in milliseconds as Prometheus writes it: `1h30m`, `0s`.
pub fn duration_text(millis: i64) -> String {
    const UNITS: [(&str, i64, bool); 7] = [
        ("y", 31_536_000_000, true),
        ("w", 604_800_000, true),
        ("d", 86_400_000, false),
        ("h", 3_600_000, false),
        ("m", 60_000, false),
        ("s", 1000, false),
        ("ms", 1, false),
    ];
    if millis == 0 {
        return "0s".into();
    }
    let mut out = String::from(if millis < 0 { "-" } else { "" });
    let mut rest = millis.saturating_abs();
    for (unit, size, exact) in UNITS {
        // Years and weeks only where nothing is left over, as `model.Duration` writes them.
        if rest >= size && (!exact || rest % size == 0) {
            out.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    out
}

/// A span as Prometheus reads it, in milliseconds: `5m`, `1h30m`, `1y`, `0`.
pub fn duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    if text == "0" {
        return Some(0);
    }
    let (mut rest, mut millis, mut next) = (text, 0_i64, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        // Units come from long to short, each once.
        let place = (next..UNITS.len()).find(|place| UNITS[*place].0 == unit)?;
        millis = millis.checked_add(number.parse::<i64>().ok()?.checked_mul(UNITS[place].1)?)?;
        next = place + 1;
        rest = tail;
    }
    (!text.is_empty()).then_some(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_as_prometheus_does() {
        for (text, millis) in [
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("1w", 604_800_000),
            ("250ms", 250),
        ] {
            assert_eq!((duration(text), duration_text(millis).as_str()), (Some(millis), text));
        }
        for wrong in ["", "5", "m", "1m1h", "1m2m", "-5m", "1.5h"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_are_written_without_an_exponent() {
        assert_eq!(
            [text(0.5), text(1e21), text(f64::INFINITY), text(-0.0)],
            ["0.5", "1000000000000000000000", "+Inf", "-0"]
        );
    }
}
