//! What a run of detectors over a labelled set is worth: first to who is woken, then by the set's own score.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// The operator's numbers. An alarm is the moment at which the alarm state rises; it is true if that lies inside a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operator {
    /// Series (or devices, where rows are judged as a whole).
    pub series: usize,
    /// Days judged, summed over all series; what a detector may learn from in silence is left out.
    pub series_days: f64,
    /// Alarms outside every window.
    pub false_alarms: usize,
    /// `false_alarms / series_days`.
    pub false_alarms_per_series_day: Option<f64>,
    /// Labelled anomalies.
    pub anomalies: usize,
    /// Those in whose window at least one alarm rose.
    pub found: usize,
    /// From the labelled start to the first alarm in the window; negative is before it.
    pub delay_median_s: Option<f64>,
    /// Nine tenths of all found were found within it.
    pub delay_p90_s: Option<f64>,
    /// Alarms inside a window for each anomaly found: one is ideal.
    pub alarm_episodes_per_anomaly: Option<f64>,
    /// Samples judged per second on one core, reading of files left out.
    pub samples_per_second: Option<f64>,
}

/// An anomaly as labelled; times in seconds, of any origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// An alarm from here on is true.
    pub first_s: f64,
    /// The last moment at which an alarm is.
    pub last_s: f64,
    /// When it began, as labelled.
    pub start_s: f64,
}

/// Collects the operator's numbers series by series.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    series: usize,
    seconds_judged: f64,
    false_alarms: usize,
    anomalies: usize,
    delays_s: Vec<f64>,
    true_alarms: usize,
    samples: u64,
    seconds_spent: f64,
}

impl Tally {
    /// Takes in one series: when its alarms rose, its windows, how long it was judged, all in seconds.
    pub fn series(&mut self, alarms_s: &[f64], windows: &[Window], judged_s: f64) {
        self.series += 1;
        self.seconds_judged += judged_s;
        self.anomalies += windows.len();
        let inside = |alarm: f64, window: &Window| alarm >= window.first_s && alarm <= window.last_s;
        self.false_alarms += alarms_s
            .iter()
            .filter(|alarm| !windows.iter().any(|window| inside(**alarm, window)))
            .count();
        for window in windows {
            let mut first = None;
            for alarm in alarms_s.iter().filter(|alarm| inside(**alarm, window)) {
                first.get_or_insert(*alarm);
                self.true_alarms += 1;
            }
            self.delays_s.extend(first.map(|alarm| alarm - window.start_s));
        }
    }

    /// Takes in what the work took.
    pub fn spent(&mut self, samples: u64, seconds: f64) {
        self.samples += samples;
        self.seconds_spent += seconds;
    }

    /// The numbers.
    pub fn operator(&self) -> Operator {
        let mut delays = self.delays_s.clone();
        delays.sort_by(f64::total_cmp);
        let ratio = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        let days = self.seconds_judged / 86_400.0;
        Operator {
            series: self.series,
            series_days: days,
            false_alarms: self.false_alarms,
            false_alarms_per_series_day: ratio(self.false_alarms as f64, days),
            anomalies: self.anomalies,
            found: delays.len(),
            delay_median_s: quantile(&delays, 0.5),
            delay_p90_s: quantile(&delays, 0.9),
            alarm_episodes_per_anomaly: ratio(self.true_alarms as f64, delays.len() as f64),
            samples_per_second: ratio(self.samples as f64, self.seconds_spent),
        }
    }
}

/// The smallest value that at least a share `q` of the sorted values does not exceed.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// See the module. As JSON it is one flat object.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which format was read.
    pub format: &'static str,
    /// The operator's numbers.
    #[serde(flatten)]
    pub operator: Operator,
    /// The figures by which the set is known, each under the name that it has there.
    #[serde(flatten)]
    pub figures: BTreeMap<String, Value>,
}

impl Report {
    /// With no figures yet.
    pub fn new(format: &'static str, operator: Operator) -> Self {
        Self {
            format,
            operator,
            figures: BTreeMap::new(),
        }
    }

    /// Adds a figure.
    pub fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(Value::Object(all)) = serde_json::to_value(self) else {
            return Err(fmt::Error);
        };
        // Who is woken comes first, then the set's own figures.
        let operator = serde_json::to_value(&self.operator).map_err(|_| fmt::Error)?;
        let operator: Vec<&String> = operator.as_object().into_iter().flat_map(|map| map.keys()).collect();
        let width = all.keys().map(String::len).max().unwrap_or(0);
        let names = operator.into_iter().chain(self.figures.keys());
        for name in names {
            line(f, width, name, &all[name])?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, width: usize, name: &str, value: &Value) -> fmt::Result {
    match value {
        Value::Null => writeln!(f, "{name:<width$}  -"),
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            writeln!(f, "{name:<width$}  {number:.3}")
        }
        Value::Object(map) => {
            writeln!(f, "{name}")?;
            for (inner, value) in map {
                line(f, width, &format!("  {inner}"), value)?;
            }
            Ok(())
        }
        Value::String(text) => writeln!(f, "{name:<width$}  {text}"),
        other => writeln!(f, "{name:<width$}  {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(first_s: f64, last_s: f64, start_s: f64) -> Window {
        Window {
            first_s,
            last_s,
            start_s,
        }
    }

    #[test]
    fn alarms_are_true_inside_a_window_and_false_outside() {
        let mut tally = Tally::default();
        let windows = [window(100.0, 200.0, 150.0), window(500.0, 600.0, 550.0)];
        tally.series(&[50.0, 140.0, 170.0, 201.0], &windows, 86_400.0 * 2.0);
        tally.spent(1000, 0.5);
        let numbers = tally.operator();
        assert_eq!((numbers.false_alarms, numbers.found, numbers.anomalies), (2, 1, 2));
        assert_eq!(numbers.false_alarms_per_series_day, Some(1.0));
        assert_eq!(numbers.delay_median_s, Some(-10.0));
        assert_eq!(numbers.alarm_episodes_per_anomaly, Some(2.0));
        assert_eq!(numbers.samples_per_second, Some(2000.0));
    }

    #[test]
    fn nothing_found_has_no_delay() {
        let mut tally = Tally::default();
        tally.series(&[], &[window(1.0, 2.0, 1.0)], 0.0);
        let numbers = tally.operator();
        assert_eq!(numbers.delay_median_s, None);
        assert_eq!(numbers.false_alarms_per_series_day, None);
        let report = Report::new("csv", numbers);
        assert!(report.to_string().contains("delay_median_s"));
        assert_eq!(serde_json::to_value(&report).unwrap()["anomalies"], 1);
    }

    #[test]
    fn nine_tenths_are_within_the_p90() {
        let sorted: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(quantile(&sorted, 0.9), Some(9.0));
        assert_eq!(quantile(&sorted, 0.5), Some(5.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
