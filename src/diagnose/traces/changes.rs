//! What changed in the work of each service at a moment, and is not the echo of a change below it.
//!
//! Each pair of signature and step is compared by a likelihood ratio, spans of one trace counting as one because they share their fate. Twice:
//! with the minutes right before, and with all that is known before, so that neither an earlier fault nor the recovery from one passes for news. A change is
//! explained as far as, in the same traces, something called from there changed as surely.

use super::story::{MAX_DEPTH, NONE, Story};
use crate::diagnose::causal::Change;

const MINUTE_NS: i64 = 60_000_000_000;
/// Minutes of the past that are looked at.
const MAX_MINUTES: i64 = 240;
/// How much less each minute of the past weighs than the one after it, in the recent past.
const FADING: f64 = 0.6;
/// Below this, a change is noise (nats).
const NOTABLE: f64 = 2.5;
/// Own time must grow by this factor to be slower.
const SLOWER: f64 = 1.5;
/// Steps reported for a service.
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
    /// What, for people.
    pub what: String,
}

/// Sums over the spans of one side, per signature or per pair.
struct Side {
    spans: Vec<f64>,
    taken: Vec<f64>,
    time: Vec<f64>,
    time2: Vec<f64>,
    timed: Vec<f64>,
}

impl Side {
    fn new(story: &Story) -> Self {
        let signatures = story.signature_of.len();
        Self {
            spans: vec![0.0; signatures],
            taken: vec![0.0; story.pair_of.len()],
            time: vec![0.0; signatures],
            time2: vec![0.0; signatures],
            timed: vec![0.0; signatures],
        }
    }

    fn add(&mut self, story: &Story, span: usize, weight: f64) {
        let signature = story.spans[span].signature as usize;
        self.spans[signature] += weight;
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

/// The log likelihood ratio of two shares being two rather than one.
fn ratio(taken0: f64, n0: f64, taken1: f64, n1: f64) -> f64 {
    let entropy = |taken: f64, n: f64, p: f64| {
        let part = |k: f64, p: f64| if k > 0.0 { k * (k / n / p.max(1e-12)).ln() } else { 0.0 };
        part(taken, p) + part((n - taken).max(0.0), 1.0 - p)
    };
    if n0 <= 0.0 || n1 <= 0.0 {
        return 0.0;
    }
    let p = (taken0 + taken1) / (n0 + n1);
    (entropy(taken0, n0, p) + entropy(taken1, n1, p)).max(0.0)
}

impl Story {
    /// Weights of the past spans: in the recent past, and in all of it.
    fn past(&self, from: i64) -> (Side, Side) {
        let (mut recent, mut all) = (Side::new(self), Side::new(self));
        let range = self.between(from.saturating_sub(MAX_MINUTES * MINUTE_NS), from);
        let (mut minute, mut weight) = (i64::MAX, 1.0 / FADING);
        for span in range.rev() {
            let this = (from - 1 - self.spans[span].start) / MINUTE_NS;
            if this != minute {
                minute = this;
                weight *= FADING;
            }
            let share = self.shares[span];
            all.add(self, span, share);
            if weight > 1e-3 {
                recent.add(self, span, share * weight);
            }
        }
        (recent, all)
    }

    /// What changed in `from..until` against the time before, most surprising first.
    pub fn changes(&self, from: i64, until: i64) -> Vec<ServiceChange> {
        let (recent, all) = self.past(from);
        let range = self.between(from, until);
        let mut now = Side::new(self);
        for span in range.clone() {
            now.add(self, span, self.shares[span]);
        }
        let mut surprise: Vec<f64> = vec![0.0; self.pair_of.len()];
        let mut more: Vec<bool> = vec![false; self.pair_of.len()];
        let mut of_signature: Vec<Vec<u32>> = vec![Vec::new(); self.signature_of.len()];
        for (pair, &(signature, _)) in self.pair_of.iter().enumerate() {
            let s = signature as usize;
            let against = |past: &Side| ratio(past.taken[pair], past.spans[s], now.taken[pair], now.spans[s]);
            let share = |side: &Side| side.taken[pair] / side.spans[s].max(1e-9);
            let (near, far) = (against(&recent), against(&all));
            let (up_near, up_far) = (share(&now) > share(&recent), share(&now) > share(&all));
            // Up against the one and down against the other: between two states that are known already.
            let sum = if up_near == up_far {
                f64::midpoint(near, far)
            } else {
                0.5 * (near - far).abs()
            };
            if sum > NOTABLE && now.spans[s] > 0.0 {
                surprise[pair] = sum;
                more[pair] = if near >= far { up_near } else { up_far };
                of_signature[s].push(u32::try_from(pair).unwrap_or(NONE));
            }
        }
        let unexplained = self.unexplained(range, &surprise, &more, &of_signature);
        let mut changes = self.steps_changed(&surprise, &more, &unexplained);
        changes.extend(self.slower(&recent, &all, &now));
        changes.sort_by(|a, b| {
            b.surprise
                .total_cmp(&a.surprise)
                .then_with(|| a.service.cmp(&b.service))
                .then_with(|| a.what.cmp(&b.what))
        });
        let mut shown: Vec<ServiceChange> = Vec::new();
        for change in changes {
            if shown.iter().filter(|other| other.service == change.service).count() < MAX_PER_SERVICE {
                shown.push(change);
            }
        }
        shown
    }

    /// For each pair, the share of its strange spans that nothing below explains.
    fn unexplained(
        &self,
        range: std::ops::Range<usize>,
        surprise: &[f64],
        more: &[bool],
        of_signature: &[Vec<u32>],
    ) -> Vec<f64> {
        let first = range.start;
        let strange = |span: usize, pair: u32| self.taken(span).binary_search(&pair).is_ok() == more[pair as usize];
        let mut blame = vec![0.0_f64; range.len()];
        for span in range.clone() {
            let own = of_signature[self.spans[span].signature as usize]
                .iter()
                .filter(|pair| strange(span, **pair))
                .map(|pair| surprise[*pair as usize])
                .fold(0.0, f64::max);
            if own <= 0.0 {
                continue;
            }
            let service = self.service_number(self.spans[span].signature);
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
            for &pair in &of_signature[self.spans[span].signature as usize] {
                if strange(span, pair) {
                    let (sum, count) = &mut left[pair as usize];
                    *count += 1.0;
                    *sum += 1.0 - (blame[span - first] / surprise[pair as usize]).min(1.0);
                }
            }
        }
        left.into_iter()
            .map(|(sum, count)| if count > 0.0 { sum / count } else { 0.0 })
            .collect()
    }

    fn steps_changed(&self, surprise: &[f64], more: &[bool], unexplained: &[f64]) -> Vec<ServiceChange> {
        let mut changes = Vec::new();
        for (pair, &(signature, step)) in self.pair_of.iter().enumerate() {
            let left = surprise[pair] * unexplained[pair];
            if left <= NOTABLE {
                continue;
            }
            let Some(step) = self.step_at(step) else { continue };
            let change = match (more[pair], self.is_error(step)) {
                (false, _) => Change::Vanished,
                (true, true) => Change::Failed,
                (true, false) => Change::Appeared,
            };
            changes.push(ServiceChange {
                service: self.service(self.service_number(signature)).to_owned(),
                change,
                surprise: left,
                what: self.describe(u32::try_from(pair).unwrap_or(NONE)),
            });
        }
        changes
    }

    fn slower(&self, recent: &Side, all: &Side, now: &Side) -> Vec<ServiceChange> {
        let mut changes = Vec::new();
        for (s, (service, operation)) in self.signature_of.iter().enumerate() {
            let n1 = now.timed[s];
            let against = |past: &Side| {
                let n0 = past.timed[s];
                if n0 < 2.0 || n1 < 2.0 {
                    return None;
                }
                let (m0, m1) = (past.time[s] / n0, now.time[s] / n1);
                let spread = (past.time2[s] / n0 - m0 * m0).max(0.1);
                let t = (m1 - m0) / (spread / n0 + spread / n1 + 0.01).sqrt();
                (m1 - m0 > SLOWER.ln()).then_some((t * t / 2.0, m1 - m0))
            };
            if let (Some((near, factor)), Some((far, _))) = (against(recent), against(all)) {
                let surprise = near.min(far);
                if surprise > NOTABLE {
                    changes.push(ServiceChange {
                        service: self.service(*service).to_owned(),
                        change: Change::Slower,
                        surprise,
                        what: format!("{operation} works {:.1} times as long", factor.exp()),
                    });
                }
            }
        }
        changes
    }
}
