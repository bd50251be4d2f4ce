//! What a person wants to see of a signal: its last values, what was usual, how strange they were, and where the trouble began.
//!
//! Each watched series keeps a short [`Ring`]. When a symptom of it is raised, the ring is copied into the [`Album`], and what
//! follows is added while there is room; then every second of the values after the onset goes, so that the picture always
//! reaches from before the trouble until now.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{EntityName, SignalName, Timestamp};

/// Values that a ring keeps.
const RING: usize = 32;

/// Values that a picture has room for.
const POINTS: usize = 96;

/// Pictures that are kept; the oldest goes first.
const KEPT: usize = 256;

/// Steps of a stored surprise.
const STEPS: f32 = 4.0;

/// The last values of a series, with how surprising each was.
#[derive(Debug, Clone)]
pub struct Ring {
    base: Timestamp,
    /// Milliseconds after the base.
    at: [u32; RING],
    value: [f32; RING],
    surprise: [u8; RING],
    next: u8,
    len: u8,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            base: Timestamp::EPOCH,
            at: [0; RING],
            value: [0.0; RING],
            surprise: [0; RING],
            next: 0,
            len: 0,
        }
    }
}

/// One value of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// What.
    pub value: f32,
    /// How strange: minus the log of its probability by the signal's own past.
    pub surprise: f32,
}

impl Ring {
    /// Takes in the next value.
    pub fn push(&mut self, at: Timestamp, value: f64, surprise: f32) {
        let since = at.nanos().saturating_sub(self.base.nanos()) / 1_000_000;
        let offset = match u32::try_from(since) {
            Ok(offset) if self.len > 0 => offset,
            // Weeks later, or the first: what was before is no context.
            _ => {
                self.base = at;
                self.len = 0;
                0
            }
        };
        let place = usize::from(self.next) % RING;
        self.at[place] = offset;
        self.value[place] = value as f32;
        self.surprise[place] = (surprise * STEPS).clamp(0.0, 255.0) as u8;
        self.next = ((place + 1) % RING) as u8;
        self.len = self.len.saturating_add(1).min(RING as u8);
    }

    /// The values, oldest first.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        let len = usize::from(self.len);
        let oldest = (usize::from(self.next) + RING - len) % RING;
        (0..len).map(move |n| {
            let place = (oldest + n) % RING;
            Point {
                at: Timestamp::from_nanos(self.base.nanos().saturating_add(i64::from(self.at[place]) * 1_000_000)),
                value: self.value[place],
                surprise: f32::from(self.surprise[place]) / STEPS,
            }
        })
    }
}

/// What detectors that tell nothing by themselves make of a series.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Opinions {
    /// How far it has crept, by the sum of Page and Hinkley: from 1 on that is a drift.
    pub drift: f32,
    /// Deviations from the usual of the same hour on other days.
    pub season: f32,
    /// Surprise at the score of a random cut forest, where one was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forest: Option<f32>,
    /// Probability that it changed for good within a few samples, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<f32>,
}

impl Opinions {
    /// The stronger of both, one by one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let stronger = |a: Option<f32>, b: Option<f32>| a.map_or(b, |a| Some(b.map_or(a, |b| a.max(b))));
        Self {
            drift: self.drift.max(other.drift),
            season: self.season.max(other.season),
            forest: stronger(self.forest, other.forest),
            change: stronger(self.change, other.change),
        }
    }

    /// Each of those that were asked, as it is told. The page has the same bars and words (`api/page/charts.js`).
    pub fn said(&self) -> Vec<Opinion> {
        let opinion = |whose, words, strong: f32| Opinion { whose, words, strong };
        let mut said = vec![
            opinion(
                "this hour on other days",
                format!("{:.1} deviations off", self.season),
                self.season / 3.0,
            ),
            opinion(
                "creeping (Page-Hinkley)",
                format!("{:.2} of what counts as a drift", self.drift),
                self.drift,
            ),
        ];
        let forest = |surprise| opinion("random cut forest", format!("surprise {surprise:.1}"), surprise / 5.0);
        said.extend(self.forest.map(forest));
        let change = |p| opinion("changed for good", format!("{:.0} % probable", p * 100.0), p / 0.5);
        said.extend(self.change.map(change));
        said.retain(|opinion| opinion.strong.is_finite());
        said
    }
}

/// What one of them makes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// Who.
    pub whose: &'static str,
    /// Its number in words.
    pub words: String,
    /// From 1 on it finds the signal strange.
    pub strong: f32,
}

impl Opinion {
    /// It finds the signal strange.
    pub fn speaks(&self) -> bool {
        self.strong >= 1.0
    }
}

/// What a detector knows of a series beyond its values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Outlook {
    /// What others say of its latest sample.
    pub others: Option<Opinions>,
    /// Between these a value is usual.
    pub band: Option<(f64, f64)>,
    /// The surprise from which it is told.
    pub bar: Option<f32>,
    /// The values are changes per second: the signal counts upwards.
    pub rate: bool,
}

/// The picture of a signal around the onset of a symptom.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    /// Whose.
    pub entity: EntityName,
    /// Of what.
    pub signal: SignalName,
    /// When the trouble began.
    pub onset: Timestamp,
    /// Values, oldest first.
    pub points: Vec<Point>,
    /// Between these a value was usual at the onset; none while that was being learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub band: Option<(f64, f64)>,
    /// The surprise from which it was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bar: Option<f32>,
    /// The values are changes per second.
    pub rate: bool,
    /// What others said of it while the trouble stood, each at its strongest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<Opinions>,
    #[serde(skip)]
    opened: Timestamp,
    /// The symptom stands, and the picture grows.
    #[serde(skip)]
    open: bool,
}

impl Chart {
    /// A picture of these points.
    pub fn of(entity: EntityName, signal: SignalName, onset: Timestamp, points: impl Iterator<Item = Point>) -> Self {
        let mut chart = Self {
            entity,
            signal,
            onset,
            points: Vec::new(),
            band: None,
            bar: None,
            rate: false,
            others: None,
            opened: onset,
            open: true,
        };
        chart.extend(points);
        chart
    }

    fn hear(&mut self, others: Option<Opinions>) {
        if let Some(others) = others {
            self.others = Some(self.others.map_or(others, |known| known.or(others)));
        }
    }

    /// Adds what is newer, and thins out what came after the onset when there is no more room.
    fn extend(&mut self, points: impl Iterator<Item = Point>) {
        let newest = self.points.last().map(|point| point.at);
        let fresh = points.filter(|point| newest.is_none_or(|newest| point.at > newest));
        for point in fresh {
            if self.points.len() >= POINTS {
                let before = self.points.partition_point(|point| point.at <= self.onset);
                let mut place = 0;
                self.points.retain(|_| {
                    place += 1;
                    place <= before || (place - before) % 2 == 1
                });
                if self.points.len() >= POINTS {
                    self.points.remove(0);
                }
            }
            self.points.push(point);
        }
    }
}

/// The pictures of the latest symptoms.
#[derive(Debug, Default)]
pub struct Album {
    charts: BTreeMap<(EntityName, SignalName), Chart>,
}

impl Album {
    /// A symptom of that signal was raised.
    pub fn open(
        &mut self,
        (entity, signal): (EntityName, SignalName),
        onset: Timestamp,
        now: Timestamp,
        outlook: Outlook,
        points: impl Iterator<Item = Point>,
    ) {
        let key = (entity.clone(), signal.clone());
        // A second symptom of the same trouble adds to the picture that is there.
        let known = self
            .charts
            .remove(&key)
            .filter(|chart| chart.open && chart.onset <= onset);
        let mut chart = known.unwrap_or_else(|| Chart {
            band: outlook.band,
            bar: outlook.bar,
            rate: outlook.rate,
            opened: now,
            ..Chart::of(entity, signal, onset, std::iter::empty())
        });
        chart.open = true;
        chart.hear(outlook.others);
        chart.extend(points);
        self.charts.insert(key, chart);
        if self.charts.len() > KEPT {
            let oldest = self.charts.iter().min_by_key(|(key, chart)| (chart.opened, *key));
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.charts.remove(&oldest);
            }
        }
    }

    /// The symptom is over: the picture stays as it is.
    pub fn close(&mut self, entity: &EntityName, signal: &SignalName) {
        if let Some(chart) = self.charts.get_mut(&(entity.clone(), signal.clone())) {
            chart.open = false;
        }
    }

    /// Lets every picture grow by what its series shows now, and by what others say of it.
    pub fn grow<I: Iterator<Item = Point>>(&mut self, mut of: impl FnMut(&str, &str) -> Option<(I, Option<Opinions>)>) {
        for ((entity, signal), chart) in self.charts.iter_mut().filter(|(_, chart)| chart.open) {
            if let Some((points, others)) = of(entity.as_str(), signal.as_str()) {
                chart.hear(others);
                chart.extend(points);
            }
        }
    }

    /// All pictures, by entity and signal.
    pub fn charts(&self) -> impl Iterator<Item = &Chart> {
        self.charts.values()
    }

    /// The picture of that signal, if one was taken.
    pub fn chart(&self, entity: &EntityName, signal: &SignalName) -> Option<&Chart> {
        self.charts.get(&(entity.clone(), signal.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: i64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + n)
    }

    fn ring(from: i64, to: i64) -> Ring {
        let mut ring = Ring::default();
        for n in from..to {
            ring.push(at(n), n as f64, 1.5);
        }
        ring
    }

    #[test]
    fn a_ring_keeps_the_latest() {
        let points: Vec<Point> = ring(0, 100).points().collect();
        assert_eq!(points.len(), RING);
        assert_eq!((points[0].at, points[RING - 1].at), (at(68), at(99)));
        assert!((points[0].value - 68.0).abs() < 1e-6 && (points[0].surprise - 1.5).abs() < 1e-6);
    }

    #[test]
    fn a_picture_reaches_from_before_the_onset_until_now_and_stays_small() {
        let mut album = Album::default();
        let key = || (EntityName::from("pump"), SignalName::from("flow"));
        album.open(key(), at(25), at(30), Outlook::default(), ring(0, 31).points());
        for end in (32..3000).step_by(10) {
            album.grow(|_, _| Some((ring(end - 20, end).points().collect::<Vec<_>>().into_iter(), None)));
        }
        let chart = album.chart(&key().0, &key().1).unwrap();
        assert!(chart.points.len() <= POINTS);
        assert_eq!(chart.points[0].at, at(0), "what was before stays");
        assert!(chart.points.last().is_some_and(|last| last.at >= at(2980)));
        assert!(chart.points.is_sorted_by_key(|point| point.at));
    }

    #[test]
    fn the_album_has_an_end() {
        let mut album = Album::default();
        for n in 0..400 {
            let key = (EntityName::from(format!("e-{n:03}")), SignalName::from("s"));
            album.open(key, at(n), at(n), Outlook::default(), std::iter::empty());
        }
        assert_eq!(album.charts.len(), KEPT);
        assert!(album.chart(&"e-000".into(), &"s".into()).is_none());
    }
}
