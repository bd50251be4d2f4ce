//! What the engine's rules look back at: a bounded stretch of each series that a rule selects, and, if asked for, of all series.
//!
//! The store keeps a handful of values per series, which is what detectors need; `rate(x[10m])` needs ten minutes. Only series that some selector
//! of a loaded rule fits are kept here, each for as long as the farthest look of those selectors.

mod newcomers;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use super::naming::{Origins, series_labels};
use super::rules::Store;
use super::{Labels, METRIC_NAME, Matchers, Point, Query, Selected, Source};
use crate::model::{Catalog, EntityId, Sample, SeriesId};

/// Series that are kept; more are left out and counted.
pub const SERIES_MAX: usize = 1_000_000;

/// Values that are kept of one series, whatever rules ask for; older ones go first.
pub const POINTS_MAX: usize = 20_000;

/// Series that have been silent are looked for this often, in milliseconds.
const SWEEP_EVERY: i64 = 60_000;

/// Not seen yet, and seen but wanted by nobody.
const UNSEEN: u32 = u32::MAX;
const UNWANTED: u32 = u32::MAX - 1;

#[derive(Debug)]
struct Want {
    matchers: Matchers,
    back: i64,
}

#[derive(Debug)]
struct Kept {
    labels: Labels,
    /// By which number its samples come; `None` for what rules record.
    id: Option<SeriesId>,
    points: Vec<Point>,
    /// Milliseconds.
    keep: i64,
    /// When there are so many values, old ones are looked for.
    prune_at: usize,
    /// The tick in which the latest value came, and how many there were before that tick.
    tick: u64,
    settled: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub struct History {
    wants: Vec<Want>,
    /// Every series is kept for so long, in milliseconds; 0 keeps only what rules select.
    keep_all: i64,
    lookback: i64,
    origins: Origins,
    /// What sources have told of their entities, where the config says nothing.
    learned: Origins,
    /// Entities of which something new was told since the last tick.
    retold: BTreeSet<EntityId>,
    /// Values of series that are met for the first time in this tick.
    newcomers: Vec<(SeriesId, Point)>,
    places: Vec<u32>,
    series: Vec<Kept>,
    free: Vec<u32>,
    names: BTreeMap<Arc<str>, Vec<u32>>,
    /// Names whose series are not in order yet.
    unsorted: BTreeSet<Arc<str>>,
    /// Names under which two series have the same labels: what a rule records, and what somebody pushes who has the same rule.
    doubled: BTreeSet<Arc<str>>,
    recorded: BTreeMap<Labels, u32>,
    swept: i64,
    tick: u64,
    newest: i64,
    refused: u64,
}

impl History {
    /// Keeps what these queries look back at, and of all series `keep_all` milliseconds.
    pub fn new<'q>(
        queries: impl IntoIterator<Item = &'q Query>,
        keep_all: i64,
        lookback: i64,
        origins: Origins,
    ) -> Self {
        let selectors = queries.into_iter().flat_map(Query::selectors);
        let wants = selectors
            .map(|selector| Want {
                matchers: selector.matchers.clone(),
                // A selector fixed to a time of its own cannot be served for ever.
                back: selector.reach(lookback).map_or(lookback, |reach| reach.back),
            })
            .collect();
        Self {
            wants,
            keep_all,
            lookback,
            origins,
            ..Self::default()
        }
    }

    /// How many series are kept.
    pub fn series_count(&self) -> usize {
        self.series.len() - self.free.len()
    }

    /// Series that were left out because there were too many.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// The time of the newest value, in milliseconds.
    pub const fn newest(&self) -> i64 {
        self.newest
    }

    /// Takes in a sample. A series that is met for the first time gets its labels at the next [`Self::settle`], when all is known that came with it.
    pub fn take(&mut self, sample: &Sample) {
        let point = Point {
            at: sample.at.millis(),
            value: sample.value,
        };
        match self.places.get(sample.series.index()).copied().unwrap_or(UNSEEN) {
            UNSEEN => self.newcomers.push((sample.series, point)),
            UNWANTED => {}
            place => self.push(place, point),
        }
    }

    /// How long a series is wanted for, if it is.
    fn keep_for(&self, labels: &Labels) -> Option<i64> {
        let wanted = self
            .wants
            .iter()
            .filter(|want| want.matchers.fit(labels))
            .map(|want| want.back)
            .max();
        let all = (self.keep_all > 0).then_some(self.keep_all);
        wanted.max(all)
    }

    fn add(&mut self, labels: Labels, id: Option<SeriesId>, keep: i64) -> u32 {
        if self.series_count() >= SERIES_MAX {
            self.refused += 1;
            return UNWANTED;
        }
        let name: Arc<str> = labels.name().into();
        let kept = Kept {
            labels,
            id,
            points: Vec::new(),
            keep,
            prune_at: 32,
            tick: 0,
            settled: 0,
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.series[place as usize] = kept;
                place
            }
            None => {
                self.series.push(kept);
                u32::try_from(self.series.len() - 1).unwrap_or(UNWANTED)
            }
        };
        self.names.entry(Arc::clone(&name)).or_default().push(place);
        self.unsorted.insert(name);
        place
    }

    /// Puts a series that a rule has just begun to record at its place among those of its name: later rules of the group look at it at once.
    fn sort_in(&mut self, place: u32) {
        let series = &self.series;
        let labels = &series[place as usize].labels;
        if let Some(places) = self.names.get_mut(labels.name()) {
            // It stands last.
            places.pop();
            let at = places.partition_point(|other| series[*other as usize].labels < *labels);
            if places
                .get(at)
                .is_some_and(|other| series[*other as usize].labels == *labels)
            {
                self.doubled.insert(labels.name().into());
            }
            places.insert(at, place);
        }
    }

    fn push(&mut self, place: u32, point: Point) {
        let Some(kept) = self.series.get_mut(place as usize) else {
            return;
        };
        if kept.tick != self.tick {
            kept.tick = self.tick;
            kept.settled = kept.points.len();
        }
        if kept.points.last().is_some_and(|last| last.at >= point.at) {
            // What came before the last tick stands. Within a tick the order of arrival means nothing: values are put in their order, and of two
            // of one time the same one is kept whichever came first.
            let place = kept.points.partition_point(|known| known.at < point.at);
            match kept.points.get_mut(place) {
                _ if place < kept.settled => {}
                Some(known) if known.at == point.at => {
                    if point.value.to_bits() < known.value.to_bits() {
                        known.value = point.value;
                    }
                }
                _ => kept.points.insert(place, point),
            }
            return;
        }
        self.newest = self.newest.max(point.at);
        kept.points.push(point);
        if kept.points.len() >= kept.prune_at {
            let oldest = point.at.saturating_sub(kept.keep);
            let old = kept.points.partition_point(|known| known.at < oldest);
            let over = kept.points.len().saturating_sub(POINTS_MAX);
            kept.points.drain(..old.max(over));
            kept.settled = kept.settled.saturating_sub(old.max(over));
            kept.prune_at = (kept.points.len() * 2).clamp(32, POINTS_MAX + 1);
        }
    }

    /// Puts series in the order in which queries see them, and forgets those that have long been silent. Called before rules are evaluated.
    pub fn settle(&mut self, now: i64, catalog: &Catalog) {
        self.seat(catalog);
        self.tick += 1;
        self.sort_names();
        if now.saturating_sub(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            self.sweep(now);
        }
    }

    fn sort_names(&mut self) {
        for name in std::mem::take(&mut self.unsorted) {
            if let Some(places) = self.names.get_mut(&name) {
                let series = &self.series;
                places.sort_by(|a, b| series[*a as usize].labels.cmp(&series[*b as usize].labels));
                let same = |pair: &[u32]| series[pair[0] as usize].labels == series[pair[1] as usize].labels;
                if places.windows(2).any(same) {
                    self.doubled.insert(name);
                } else {
                    self.doubled.remove(&name);
                }
            }
        }
    }

    fn sweep(&mut self, now: i64) {
        let mut gone = BTreeSet::new();
        for (place, kept) in (0_u32..).zip(&self.series) {
            let silent = kept
                .points
                .last()
                .is_some_and(|last| last.at < now.saturating_sub(kept.keep + self.lookback));
            if silent {
                gone.insert(place);
            }
        }
        for place in &gone {
            let kept = &mut self.series[*place as usize];
            kept.points = Vec::new();
            match kept.id.take() {
                Some(id) => self.places[id.index()] = UNSEEN,
                None => {
                    self.recorded.remove(&kept.labels);
                }
            }
            self.free.push(*place);
        }
        if !gone.is_empty() {
            self.names.retain(|_, places| {
                places.retain(|place| !gone.contains(place));
                !places.is_empty()
            });
        }
    }

    /// Takes over what another history holds. What nobody wants any more goes in time, and what was not wanted is looked at again.
    pub fn adopt(&mut self, before: Self) {
        let (wants, keep_all, lookback) = (std::mem::take(&mut self.wants), self.keep_all, self.lookback);
        *self = Self {
            wants,
            keep_all,
            lookback,
            ..before
        };
        for place in self.places.iter_mut().filter(|place| **place == UNWANTED) {
            *place = UNSEEN;
        }
        let mut series = std::mem::take(&mut self.series);
        for kept in &mut series {
            kept.keep = self.keep_for(&kept.labels).unwrap_or(0);
            kept.prune_at = kept.points.len().max(32);
        }
        self.series = series;
    }

    /// All series that are kept, each with its newest value's time.
    pub fn series(&self) -> impl Iterator<Item = (&Labels, &[Point])> {
        let places = self.names.values().flatten();
        places
            .filter_map(|place| self.series.get(*place as usize))
            .map(|kept| (&kept.labels, &kept.points[..]))
    }
}

impl Source for History {
    fn select(&self, matchers: &Matchers, _: i64, _: i64) -> Vec<Selected<'_>> {
        let fits_name = |name: &str| {
            matchers
                .0
                .iter()
                .all(|matcher| matcher.name != METRIC_NAME || matcher.passes(name))
        };
        let named: Vec<&Vec<u32>> = match matchers.metric() {
            Some(name) => self.names.get(name).into_iter().collect(),
            None => self
                .names
                .iter()
                .filter(|(name, _)| fits_name(name))
                .map(|(_, places)| places)
                .collect(),
        };
        let kept = named
            .into_iter()
            .flatten()
            .filter_map(|place| self.series.get(*place as usize));
        let alone = matchers.0.len() == 1 && matchers.metric().is_some();
        let selected = kept
            .filter(|kept| alone || matchers.fit(&kept.labels))
            .map(|kept| Selected {
                labels: kept.labels.clone(),
                points: Cow::Borrowed(&kept.points[..]),
            });
        let doubled = match matchers.metric() {
            Some(name) => self.doubled.contains(name),
            None => !self.doubled.is_empty(),
        };
        if doubled { joined(selected) } else { selected.collect() }
    }
}

/// Each series once, with the values of all that have its labels; of two values of one time the first counts. Those of the same labels stand side by side.
fn joined<'a>(selected: impl Iterator<Item = Selected<'a>>) -> Vec<Selected<'a>> {
    let mut all: Vec<Selected<'a>> = Vec::new();
    for next in selected {
        match all.last_mut() {
            Some(last) if last.labels == next.labels => {
                let points = last.points.to_mut();
                points.extend_from_slice(&next.points);
                points.sort_by_key(|point| point.at);
                points.dedup_by_key(|point| point.at);
            }
            _ => all.push(next),
        }
    }
    all
}

impl Store for History {
    fn record(&mut self, labels: &Labels, point: Point) {
        let place = match self.recorded.get(labels) {
            Some(place) => *place,
            None => {
                let keep = self.keep_for(labels).unwrap_or(self.lookback);
                let place = self.add(labels.clone(), None, keep);
                if place == UNWANTED {
                    return;
                }
                self.recorded.insert(labels.clone(), place);
                self.sort_in(place);
                place
            }
        };
        self.push(place, point);
    }
}

#[cfg(test)]
mod tests;
