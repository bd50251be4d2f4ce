//! What changed in the work of each service at a moment, and is not the echo of a change below it.
//!
//! Each pair of signature and step is compared by a likelihood ratio with the usual of the minutes before, spans of one trace counting as one because they
//! share their fate. The usual is the median minute, so that an earlier fault or the recovery from one is no news; of steps that speak of errors, it is
//! one of the better minutes, because a service that failed for most of the past is not well. What came and went before is discounted. A
//! change is explained as far as, in the same traces, something called from there changed as surely.

use std::collections::{BTreeMap, BTreeSet};

use super::story::{MAX_DEPTH, NONE, Pair, Step, Story};
use crate::diagnose::causal::Change;
use crate::diagnose::causal::stats::{likelihood_ratio, weighted_quantile};

const MINUTE_NS: i64 = 60_000_000_000;
/// Minutes of the past that are looked at, of those that have spans.
const MAX_MINUTES: usize = 90;
/// Nothing older than this is looked at.
const MAX_PAST_NS: i64 = 12 * 60 * MINUTE_NS;
/// Spans that a minute counts for, at the most; and all of the past together.
const MINUTE_COUNTS: f64 = 5.0;
const PAST_COUNTS: f64 = 60.0;
/// A minute with less than this share of the busiest one's spans is the edge of what was kept.
const SCANT: f64 = 0.1;
/// The usual of steps that speak of errors: so many of the minutes are better.
const BETTER: f64 = 0.15;
/// A step that a fault has kept away for most of the time: it was always taken in all minutes beyond this share.
const KEPT: f64 = 0.75;
/// A step taken in this share of the spans is always taken.
const ALWAYS: f64 = 0.97;
/// With fewer minutes nobody knows which are the better ones.
const KNOWN: usize = 8;
/// What came and went more often than this is restless.
const SELDOM: usize = 2;
/// Below this, a change is noise (nats).
const NOTABLE: f64 = 2.5;
/// Own time must grow by this factor to be slower.
const SLOWER: f64 = 1.5;
/// Changes reported for a service.
const MAX_PER_SERVICE: usize = 8;

/// A change of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceChange {
    /// The service.
    pub service: String,
    /// In which way.
    pub change: Change,
    /// How surprising, in nats.
    pub surprise: f64,
    /// The share of the strange traces in which this service is strange.
    pub coverage: f64,
    /// Of times: how many times as long.
    pub factor: f64,
    /// It is a log line that tells it.
    pub in_log: bool,
    /// What, for people.
    pub what: String,
}

/// Sums over the spans of some time, per signature or per pair.
struct Side {
    spans: Vec<f64>,
    /// Of these, those whose log lines are known.
    lined: Vec<f64>,
    taken: Vec<f64>,
    time: Vec<f64>,
    time2: Vec<f64>,
    timed: Vec<f64>,
}

impl Side {
    fn new(story: &Story) -> Self {
        let signatures = || vec![0.0; story.base_of.len()];
        Self {
            spans: signatures(),
            lined: signatures(),
            taken: vec![0.0; story.pair_of.len()],
            time: signatures(),
            time2: signatures(),
            timed: signatures(),
        }
    }

    fn add(&mut self, story: &Story, span: usize) {
        let signature = story.spans[span].signature as usize;
        let weight = story.shares[span];
        let has_lines = story.has_lines(story.spans[span].start);
        for variant in story.variants(span) {
            self.spans[variant] += weight;
            if has_lines {
                self.lined[variant] += weight;
            }
        }
        for &pair in story.taken(span) {
            self.taken[pair as usize] += weight;
        }
        if !story.crosses[span] {
            // A tenth of a millisecond more, so that the logarithm of nothing is not a large step.
            let ln = (story.own_ns[span].max(0) as f64 / 1e6 + 0.1).ln();
            self.time[signature] += weight * ln;
            self.time2[signature] += weight * ln * ln;
            self.timed[signature] += weight;
        }
    }
}

/// How one pair moved.
#[derive(Debug, Clone, Copy, Default)]
struct Moved {
    surprise: f64,
    more: bool,
}

/// How often it was like now before, and not as usual; apart from what now may be a part of. Minutes are newest first.
fn episodes(minutes: &[(f64, f64)], now: f64, usual: f64) -> usize {
    let like_now = |(was, _): &(f64, f64)| (was - now).abs() < (was - usual).abs();
    let begun = minutes
        .windows(2)
        .filter(|pair| !like_now(&pair[0]) && like_now(&pair[1]));
    begun.count()
}

impl Story {
    /// The past by minute, newest first.
    fn past(&self, from: i64) -> Vec<Side> {
        let mut minutes: Vec<Side> = Vec::new();
        let mut last = i64::MAX;
        for span in self.between(from.saturating_sub(MAX_PAST_NS), from).rev() {
            let minute = (from - 1 - self.spans[span].start) / MINUTE_NS;
            if minute != last {
                if minutes.len() >= MAX_MINUTES {
                    break;
                }
                last = minute;
                minutes.push(Side::new(self));
            }
            if let Some(side) = minutes.last_mut() {
                side.add(self, span);
            }
        }
        minutes
    }

    fn moved(&self, number: usize, pair: Pair, past: &[Side], now: &Side) -> Moved {
        let s = pair.variant as usize;
        let Some(step) = self.step_at(pair.step) else {
            return Moved::default();
        };
        let counts = |side: &Side| {
            if matches!(step, Step::Line(_)) {
                side.lined[s]
            } else {
                side.spans[s]
            }
        };
        let n1 = counts(now);
        let most = past.iter().map(counts).fold(0.0, f64::max);
        let minutes: Vec<(f64, f64)> = past
            .iter()
            .filter(|side| counts(side) > 0.0 && counts(side) >= SCANT * most)
            .map(|side| ((side.taken[number] / counts(side)).min(1.0), counts(side)))
            .collect();
        if n1 <= 0.0 || minutes.is_empty() {
            return Moved::default();
        }
        let share = (now.taken[number] / n1).min(1.0);
        let weighed: Vec<(f64, f64)> = minutes
            .iter()
            .map(|(share, n)| (*share, n.min(MINUTE_COUNTS)))
            .collect();
        let quantile = |q: f64| weighted_quantile(&weighed, q).unwrap_or(share);
        let n0 = minutes.iter().map(|(_, n)| n).sum::<f64>().min(PAST_COUNTS);
        let against = |usual: f64| {
            let episodes = episodes(&minutes, share, usual);
            let moved = Moved {
                surprise: likelihood_ratio(usual * n0, n0, share * n1, n1) / (1.0 + 0.5 * episodes as f64),
                more: share > usual,
            };
            (moved, episodes)
        };
        let error = self.is_error(step);
        let (moved, _) = against(quantile(if error { BETTER } else { 0.5 }));
        // A step that was always taken in the better minutes is missed even if a fault has kept it away ever since, for most of what is known.
        let better = quantile(KEPT);
        let still = minutes
            .first()
            .is_some_and(|(was, _)| (was - share).abs() < (was - better).abs());
        if !error && better >= ALWAYS && still && minutes.len() >= KNOWN && moved.surprise <= NOTABLE {
            let (missed, episodes) = against(better);
            if episodes <= SELDOM {
                return missed;
            }
        }
        moved
    }

    /// What changed in `from..until` against the time before, most surprising first.
    pub fn changes(&self, from: i64, until: i64) -> Vec<ServiceChange> {
        let past = self.past(from);
        let range = self.between(from, until);
        let mut now = Side::new(self);
        for span in range.clone() {
            now.add(self, span);
        }
        let mut moved: Vec<Moved> = vec![Moved::default(); self.pair_of.len()];
        let mut of_variant: Vec<Vec<u32>> = vec![Vec::new(); self.base_of.len()];
        for (number, &pair) in self.pair_of.iter().enumerate() {
            let this = self.moved(number, pair, &past, &now);
            if this.surprise > NOTABLE {
                moved[number] = this;
                of_variant[pair.variant as usize].push(u32::try_from(number).unwrap_or(NONE));
            }
        }
        let (unexplained, coverage) = self.unexplained(range, &moved, &of_variant);
        let mut changes = self.steps_changed(&moved, &unexplained, &coverage);
        changes.extend(self.slower(&past, &now));
        changes.sort_by(|a, b| {
            b.surprise
                .total_cmp(&a.surprise)
                .then_with(|| a.service.cmp(&b.service))
                .then_with(|| a.what.cmp(&b.what))
        });
        let mut shown: Vec<ServiceChange> = Vec::new();
        for change in changes {
            // A signature and its variant often tell the same.
            if shown
                .iter()
                .any(|other| other.service == change.service && other.what == change.what)
            {
                continue;
            }
            let like = |other: &&ServiceChange| {
                other.service == change.service && (other.change == Change::Slower) == (change.change == Change::Slower)
            };
            if shown.iter().filter(like).count() < MAX_PER_SERVICE {
                shown.push(change);
            }
        }
        shown
    }

    /// For each pair, the share of its strange spans that nothing below explains; and for each service, the share of the strange traces that it
    /// is strange in: who is at fault is so in most of them, who is only used otherwise is not.
    fn unexplained(
        &self,
        range: std::ops::Range<usize>,
        moved: &[Moved],
        of_variant: &[Vec<u32>],
    ) -> (Vec<f64>, BTreeMap<u32, f64>) {
        let first = range.start;
        let strange = |span: usize| {
            self.variants(span)
                .flat_map(|variant| &of_variant[variant])
                .copied()
                .filter(move |pair| self.taken(span).binary_search(pair).is_ok() == moved[*pair as usize].more)
        };
        let top = moved.iter().map(|moved| moved.surprise).fold(0.0, f64::max);
        let mut blame = vec![0.0_f64; range.len()];
        let mut traces: BTreeSet<(u64, u32)> = BTreeSet::new();
        for span in range.clone() {
            let own = strange(span)
                .map(|pair| moved[pair as usize].surprise)
                .fold(0.0, f64::max);
            if own <= 0.0 {
                continue;
            }
            let service = self.service_number(self.spans[span].signature);
            if own > top / 3.0 {
                traces.insert((self.spans[span].trace, service));
            }
            let mut at = self.parents[span];
            for _ in 0..MAX_DEPTH {
                if at == NONE {
                    break;
                }
                let above = at as usize;
                if let Some(slot) = above.checked_sub(first).and_then(|slot| blame.get_mut(slot))
                    && self.service_number(self.spans[above].signature) != service
                {
                    *slot = slot.max(own);
                }
                at = self.parents[above];
            }
        }
        let mut left = vec![(0.0, 0.0); self.pair_of.len()];
        for span in range {
            for pair in strange(span) {
                let (sum, count) = &mut left[pair as usize];
                *count += 1.0;
                *sum += 1.0 - (blame[span - first] / moved[pair as usize].surprise).min(1.0);
            }
        }
        let all = traces
            .iter()
            .map(|(trace, _)| trace)
            .collect::<BTreeSet<_>>()
            .len()
            .max(1) as f64;
        let mut coverage: BTreeMap<u32, f64> = BTreeMap::new();
        for (_, service) in &traces {
            *coverage.entry(*service).or_default() += 1.0 / all;
        }
        let unexplained = left
            .into_iter()
            .map(|(sum, count)| if count > 0.0 { sum / count } else { 0.0 })
            .collect();
        (unexplained, coverage)
    }

    fn steps_changed(&self, moved: &[Moved], unexplained: &[f64], coverage: &BTreeMap<u32, f64>) -> Vec<ServiceChange> {
        let mut changes = Vec::new();
        for ((moved, unexplained), &pair) in moved.iter().zip(unexplained).zip(&self.pair_of) {
            let left = moved.surprise * unexplained;
            let Some(step) = self.step_at(pair.step).filter(|_| left > NOTABLE) else {
                continue;
            };
            changes.push(ServiceChange {
                service: self.service(self.service_of(pair)).to_owned(),
                change: match (moved.more, self.is_error(step)) {
                    (false, _) => Change::Vanished,
                    (true, true) => Change::Failed,
                    (true, false) => Change::Appeared,
                },
                surprise: left,
                coverage: coverage.get(&self.service_of(pair)).copied().unwrap_or(0.0),
                factor: 1.0,
                in_log: matches!(step, Step::Line(_)),
                what: self.describe(pair),
            });
        }
        changes
    }

    /// Signatures whose own work takes longer than in the usual minute.
    fn slower(&self, past: &[Side], now: &Side) -> Vec<ServiceChange> {
        let mut changes = Vec::new();
        for (s, (service, operation)) in self.signature_of.iter().enumerate() {
            let n1 = now.timed[s];
            let minutes: Vec<(f64, f64)> = past
                .iter()
                .filter(|side| side.timed[s] > 0.0)
                .map(|side| (side.time[s] / side.timed[s], side.timed[s].min(MINUTE_COUNTS)))
                .collect();
            let (Some(usual), n0) = (
                weighted_quantile(&minutes, 0.5),
                minutes.iter().map(|(_, n)| n).sum::<f64>(),
            ) else {
                continue;
            };
            if n0 < 2.0 || n1 < 2.0 {
                continue;
            }
            let mean = now.time[s] / n1;
            let between = minutes.iter().map(|(was, n)| n * (was - usual).powi(2)).sum::<f64>() / n0;
            let within = (now.time2[s] / n1 - mean * mean).max(0.1);
            let t = (mean - usual) / (within / n1 + between + 0.02).sqrt();
            let surprise = t * t / 2.0;
            if mean - usual > SLOWER.ln() && surprise > NOTABLE {
                changes.push(ServiceChange {
                    service: self.service(*service).to_owned(),
                    change: Change::Slower,
                    surprise,
                    coverage: 0.0,
                    factor: (mean - usual).exp(),
                    in_log: false,
                    what: format!("{operation} works {:.1} times as long", (mean - usual).exp()),
                });
            }
        }
        changes
    }
}
