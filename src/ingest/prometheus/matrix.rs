//! Answers of `query_range`, page by page: which range is due, and what its points say, ends of series included. Pure: the time comes with each call.
//!
//! Prometheus answers with a point for each step at which a series has a value. A step without one says that the series had ended by then (a staleness marker,
//! or nothing for five minutes); it is handed on as the end that it is, as a scrape would.

use std::collections::BTreeMap;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use serde::Deserialize;

use crate::model::sample::STALE_NAN;
use crate::model::{SeriesId, Timestamp};

/// Prometheus answers at most 11,000 points per series.
const POINTS_MAX: i64 = 10_000;

/// One series of an answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Matrix {
    /// Its labels.
    pub metric: BTreeMap<String, String>,
    /// Seconds and value.
    #[serde(default)]
    pub values: Vec<(f64, String)>,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Matrix>,
}

/// Reads the body of an answer. `Err` is what it says is wrong.
pub fn matrix(body: &[u8]) -> Result<Vec<Matrix>, String> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| format!("not an answer of Prometheus: {error}"))?;
    match (answer.status.as_str(), answer.data) {
        ("success", Some(data)) => Ok(data.result),
        _ => Err(answer.error.unwrap_or_else(|| "an answer without data".into())),
    }
}

/// Milliseconds, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first point.
    pub start: i64,
    /// The last point.
    pub end: i64,
    /// From point to point.
    pub step: i64,
}

impl Range {
    /// True for a point that was more than two steps old when it came.
    pub fn is_old(&self, at_ms: i64, seen: Timestamp) -> bool {
        seen.millis() - at_ms > 2 * self.step
    }
}

/// A series of an answer and its number here.
pub struct Line<'a> {
    /// Its number.
    pub series: SeriesId,
    /// Its points.
    pub matrix: &'a Matrix,
}

/// What became of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Series that are another's by their number.
    pub duplicates: u64,
    /// Points that are no numbers, or outside of what was asked for.
    pub bad: u64,
}

/// How far a query has been asked, and which series it had then.
pub struct Pages {
    step: i64,
    /// The last step that was answered.
    last: i64,
    /// Steps of the next question, at most. Halved when a question fails: it may have been too much.
    most: i64,
    alive: HashMap<SeriesId, i64, FixedState>,
}

impl Pages {
    /// From `backfill` before `now` on. Steps lie on whole multiples, so that back-fill and polls meet without a gap or a repeat.
    pub fn new(step: Duration, now: Timestamp, backfill: Duration) -> Self {
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1);
        let last = (now - backfill).millis().div_euclid(step) * step - step;
        Self {
            step,
            last,
            most: POINTS_MAX,
            alive: HashMap::default(),
        }
    }

    /// The range that is due.
    pub fn next(&mut self, now: Timestamp) -> Option<Range> {
        let end = now.millis().div_euclid(self.step) * self.step;
        if end < self.last - 2 * self.step {
            tracing::warn!("the clock was set back: what is to come is asked for from now on");
            self.last = end - self.step;
        }
        let end = end.min(self.last.saturating_add(self.step.saturating_mul(self.most)));
        (end > self.last).then_some(Range {
            start: self.last + self.step,
            end,
            step: self.step,
        })
    }

    /// The question was not answered: it will be asked again, for less.
    pub fn failed(&mut self) {
        self.most = (self.most / 2).max(1);
    }

    /// Takes in an answer: each point in order, and [`STALE_NAN`] where a series ends.
    pub fn take(&mut self, range: Range, lines: &[Line<'_>], mut each: impl FnMut(SeriesId, i64, f64)) -> Taken {
        let mut taken = Taken::default();
        let mut here: HashSet<SeriesId, FixedState> = HashSet::default();
        let before = std::mem::take(&mut self.alive);
        for line in lines {
            if !here.insert(line.series) {
                taken.duplicates += 1;
                continue;
            }
            let mut last = before.get(&line.series).copied();
            for (seconds, text) in &line.matrix.values {
                let at = (seconds * 1e3).round() as i64;
                let value = text.parse::<f64>().ok();
                let Some(value) =
                    value.filter(|_| (range.start..=range.end).contains(&at) && last.is_none_or(|last| at > last))
                else {
                    taken.bad += 1;
                    continue;
                };
                if let Some(last) = last
                    && at > last + range.step
                {
                    each(line.series, last + range.step, STALE_NAN);
                }
                each(line.series, at, value);
                last = Some(at);
            }
            match last {
                Some(last) if last >= range.end => drop(self.alive.insert(line.series, last)),
                Some(last) => each(line.series, last + range.step, STALE_NAN),
                None => {}
            }
        }
        let mut ended: Vec<(SeriesId, i64)> = before
            .into_iter()
            .filter(|(series, _)| !here.contains(series))
            .collect();
        ended.sort_unstable();
        for (series, last) in ended {
            each(series, last + range.step, STALE_NAN);
        }
        self.last = range.end;
        self.most = self.most.saturating_mul(2).min(POINTS_MAX);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::is_stale;

    const STEP: Duration = Duration::from_secs(10);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn series(points: &[(i64, f64)]) -> Matrix {
        Matrix {
            metric: BTreeMap::new(),
            values: points
                .iter()
                .map(|(at, value)| (*at as f64, value.to_string()))
                .collect(),
        }
    }

    /// Each point as "number@second=value", `end` for a staleness marker.
    fn take(pages: &mut Pages, range: Range, lines: &[(u32, Matrix)]) -> (String, Taken) {
        let lines: Vec<Line<'_>> = lines
            .iter()
            .map(|(n, matrix)| Line {
                series: SeriesId(*n),
                matrix,
            })
            .collect();
        let mut said = Vec::new();
        let taken = pages.take(range, &lines, |series, at_ms, value| {
            let value = if is_stale(value) {
                "end".to_owned()
            } else {
                value.to_string()
            };
            said.push(format!("{}@{}={value}", series.0, at_ms / 1000));
        });
        (said.join(" "), taken)
    }

    fn range(start: i64, end: i64) -> Range {
        Range {
            start: start * 1000,
            end: end * 1000,
            step: 10_000,
        }
    }

    #[test]
    fn back_fill_and_polls_meet_on_whole_steps() {
        let mut pages = Pages::new(STEP, at(1007), Duration::from_secs(60));
        assert_eq!(pages.next(at(1007)), Some(range(940, 1000)));
        take(&mut pages, range(940, 1000), &[]);
        assert_eq!(pages.next(at(1009)), None);
        assert_eq!(pages.next(at(1010)), Some(range(1010, 1010)));
        // What was not answered is asked for again with what has become due.
        assert_eq!(pages.next(at(1034)), Some(range(1010, 1030)));
    }

    #[test]
    fn a_step_without_a_point_is_an_end() {
        let mut pages = Pages::new(STEP, at(100), Duration::ZERO);
        let (said, _) = take(
            &mut pages,
            range(10, 60),
            &[(1, series(&[(10, 1.0), (20, 2.0), (50, 5.0), (60, 6.0)]))],
        );
        assert_eq!(said, "1@10=1 1@20=2 1@30=end 1@50=5 1@60=6");
        let (said, _) = take(
            &mut pages,
            range(70, 80),
            &[(1, series(&[(80, 8.0)])), (2, series(&[(70, 0.0)]))],
        );
        assert_eq!(said, "1@70=end 1@80=8 2@70=0 2@80=end");
        let (said, _) = take(&mut pages, range(90, 90), &[]);
        assert_eq!(said, "1@90=end");
        assert_eq!(take(&mut pages, range(100, 100), &[]).0, "");
    }

    #[test]
    fn nothing_is_told_twice_and_nothing_is_mixed() {
        let mut pages = Pages::new(STEP, at(100), Duration::ZERO);
        take(&mut pages, range(10, 20), &[(1, series(&[(10, 1.0), (20, 2.0)]))]);
        // A server that answers more than it was asked for, and two series with one number.
        let lines = [
            (1, series(&[(20, 2.0), (30, 3.0), (40, 4.0)])),
            (1, series(&[(30, 9.0)])),
        ];
        let (said, taken) = take(&mut pages, range(30, 30), &lines);
        assert_eq!(said, "1@30=3");
        assert_eq!(taken, Taken { duplicates: 1, bad: 2 });
    }

    #[test]
    fn numbers_that_json_cannot_hold_come_as_texts() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[10,"NaN"],[20,"+Inf"],[30.000,"-Inf"],[40,"x"]]}]}}"#;
        let answer = matrix(body).unwrap();
        let mut pages = Pages::new(STEP, at(100), Duration::ZERO);
        let (said, taken) = take(&mut pages, range(10, 40), &[(1, answer[0].clone())]);
        assert_eq!(said, "1@10=NaN 1@20=inf 1@30=-inf 1@40=end");
        assert_eq!(taken.bad, 1);
    }

    #[test]
    fn a_question_that_is_too_much_is_asked_for_less() {
        let day = Duration::from_secs(86_400 * 10);
        let mut pages = Pages::new(STEP, at(10_000_000), day);
        let points = |range: Range| (range.end - range.start) / range.step + 1;
        let first = pages.next(at(10_000_000)).unwrap();
        assert_eq!(points(first), POINTS_MAX);
        pages.failed();
        let second = pages.next(at(10_000_000)).unwrap();
        assert_eq!((second.start, points(second)), (first.start, POINTS_MAX / 2));
        for _ in 0..40 {
            pages.failed();
        }
        assert_eq!(points(pages.next(at(10_000_000)).unwrap()), 1);
        take(&mut pages, range(first.start / 1000, first.start / 1000), &[]);
        assert_eq!(points(pages.next(at(10_000_000)).unwrap()), 2);
    }

    #[test]
    fn a_clock_set_back_does_not_end_the_polls() {
        let mut pages = Pages::new(STEP, at(100_000), Duration::ZERO);
        pages.next(at(100_000));
        take(&mut pages, range(99_990, 100_000), &[]);
        assert_eq!(pages.next(at(99_985)), None);
        assert_eq!(pages.next(at(50_005)), Some(range(50_000, 50_000)));
    }

    #[test]
    fn old_points_are_no_sign_of_life() {
        let range = range(10, 100);
        assert!(range.is_old(79_000, at(100)));
        assert!(!range.is_old(80_000, at(100)));
    }

    #[test]
    fn what_prometheus_says_is_wrong_is_told() {
        let error = matrix(br#"{"status":"error","errorType":"bad_data","error":"parse error"}"#).unwrap_err();
        assert_eq!(error, "parse error");
        assert!(matrix(b"<html>").unwrap_err().contains("not an answer of Prometheus"));
    }
}
