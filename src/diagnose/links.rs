//! What began together with what, and what ran ahead: pairs of symptoms, with the lag between them and how much chance it leaves.
//!
//! Of two signals with a picture the courses are compared: the rank correlation of their changes at each lag, with as many tries counted as
//! lags were tried. Of all others the onsets are: so seldom do incidents begin here that another one within the same moment is hardly
//! chance, or so often that it may well be. Evidence for whoever looks for the cause, never a cause.

use std::time::Duration;

use statrs::function::erf::erfc;

use crate::detect::{Chart, Point, Vitals};
use crate::model::incident::{By, Link};
use crate::model::{Incident, Symptom, Timestamp};

/// Symptoms that began further apart than this have no link by their onsets.
const TOGETHER: Duration = Duration::from_secs(60);

/// Symptoms that are looked at, the earliest, and links that are kept, the surest.
const LOOKED_AT: usize = 10;
const KEPT: usize = 4;

/// Less sure than this is no link.
const SURE: f64 = 0.9;

/// Nothing is timed better than this, in seconds.
const RESOLUTION_S: f64 = 0.05;

/// Steps of the common grid of two courses, and the largest lag that is tried, as a share of them.
const GRID_MIN: usize = 24;
const GRID_MAX: usize = 120;
const LAG_SHARE: usize = 4;

/// The links of `incident` among its own symptoms and with `others`, those of other open incidents. `rate` is how many incidents begin a
/// second.
pub fn links(incident: &Incident, others: &[&Symptom], rate: f64, vitals: &dyn Vitals) -> Vec<Link> {
    let mut own: Vec<&Symptom> = incident.symptoms.iter().collect();
    own.sort_by(|a, b| (a.onset, &a.key).cmp(&(b.onset, &b.key)));
    own.truncate(LOOKED_AT);
    let mut foreign: Vec<&Symptom> = others.to_vec();
    foreign.sort_by(|a, b| (a.onset, &a.key).cmp(&(b.onset, &b.key)));
    let mut found = Vec::new();
    for (place, one) in own.iter().enumerate() {
        let rest = own.iter().skip(place + 1).chain(foreign.iter().take(LOOKED_AT));
        found.extend(rest.filter_map(|other| link(one, other, rate, vitals)));
    }
    found.retain(|link| link.confidence >= SURE);
    found.sort_by(|a, b| {
        b.confidence
            .total_cmp(&a.confidence)
            .then(a.lag_s.total_cmp(&b.lag_s))
            .then_with(|| (&a.first, &a.then).cmp(&(&b.first, &b.then)))
    });
    found.truncate(KEPT);
    found
}

fn link(one: &Symptom, other: &Symptom, rate: f64, vitals: &dyn Vitals) -> Option<Link> {
    let chart = |symptom: &Symptom| vitals.chart(&symptom.key.entity, &symptom.key.signal);
    let same = one.key.entity == other.key.entity && one.key.signal == other.key.signal;
    if !same && let (Some(a), Some(b)) = (chart(one), chart(other)) {
        let course = by_course(a, b).filter(|(_, confidence)| *confidence >= SURE);
        if let Some((lag_s, confidence)) = course {
            let (first, then) = if lag_s >= 0.0 { (one, other) } else { (other, one) };
            return Some(Link {
                first: first.key.clone(),
                then: then.key.clone(),
                lag_s: thousandth(lag_s.abs()),
                confidence: thousandth(confidence),
                by: By::Course,
            });
        }
    }
    let (first, then) = if one.onset <= other.onset {
        (one, other)
    } else {
        (other, one)
    };
    let apart = then.onset.since(first.onset);
    if apart > TOGETHER {
        return None;
    }
    // Another incident within that time, before or after, by chance.
    let chance = -(-2.0 * rate * apart.as_secs_f64().max(RESOLUTION_S)).exp_m1();
    Some(Link {
        first: first.key.clone(),
        then: then.key.clone(),
        lag_s: thousandth(apart.as_secs_f64()),
        confidence: thousandth(1.0 - chance),
        by: By::Onset,
    })
}

fn thousandth(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// By how many seconds `b` follows `a`, and how sure that is.
fn by_course(a: &Chart, b: &Chart) -> Option<(f64, f64)> {
    let step_s = gap(&a.points)?.max(gap(&b.points)?);
    let begin = a.points.first()?.at.max(b.points.first()?.at);
    let end = a.points.last()?.at.min(b.points.last()?.at);
    let steps = (end.since(begin).as_secs_f64() / step_s) as usize;
    if steps < GRID_MIN {
        return None;
    }
    let begin = begin + Duration::from_secs_f64(step_s * steps.saturating_sub(GRID_MAX) as f64);
    let steps = steps.min(GRID_MAX);
    let (a, b) = (
        changes(&a.points, begin, step_s, steps),
        changes(&b.points, begin, step_s, steps),
    );
    let (a, b) = (ranks(&a), ranks(&b));
    let most = steps / LAG_SHARE;
    let mut best = (0_usize, false, 0.0_f64);
    for lag in 0..=most {
        for (backwards, r) in [(false, correlation(&a, &b, lag)), (true, correlation(&b, &a, lag))] {
            if r.abs() > best.2.abs() + 1e-12 {
                best = (lag, backwards, r);
            }
        }
    }
    let (lag, backwards, r) = best;
    let pairs = (steps - lag) as f64;
    // Fisher's transform; each lag that was tried was a chance to be lucky.
    let z = r.abs().min(0.999_999).atanh() * (pairs - 3.0).max(0.0).sqrt();
    let chance = (2 * most + 1) as f64 * erfc(z / std::f64::consts::SQRT_2);
    let lag_s = lag as f64 * step_s * if backwards { -1.0 } else { 1.0 };
    Some((lag_s, (1.0 - chance).max(0.0)))
}

/// Median gap between points, in seconds.
fn gap(points: &[Point]) -> Option<f64> {
    let mut gaps: Vec<f64> = points
        .windows(2)
        .map(|pair| pair[1].at.since(pair[0].at).as_secs_f64())
        .collect();
    gaps.sort_by(f64::total_cmp);
    gaps.get(gaps.len() / 2).copied().filter(|gap| *gap > 0.0)
}

/// Changes from step to step of a common grid; the latest value holds until the next.
fn changes(points: &[Point], begin: Timestamp, step_s: f64, steps: usize) -> Vec<f64> {
    let mut place = 0;
    let values: Vec<f64> = (0..=steps)
        .map(|step| {
            let at = begin + Duration::from_secs_f64(step_s * step as f64);
            while points.get(place + 1).is_some_and(|next| next.at <= at) {
                place += 1;
            }
            points.get(place).map_or(0.0, |point| f64::from(point.value))
        })
        .collect();
    values.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Ranks about their middle, equal values alike: one jump shall not be all that counts.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let middle = (values.len().saturating_sub(1)) as f64 / 2.0;
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let mut to = from + 1;
        while to < order.len() && values[order[to]].total_cmp(&values[order[from]]).is_eq() {
            to += 1;
        }
        for place in &order[from..to] {
            ranks[*place] = (from + to - 1) as f64 / 2.0 - middle;
        }
        from = to;
    }
    ranks
}

/// Of `a` with what `b` does `lag` steps later.
fn correlation(a: &[f64], b: &[f64], lag: usize) -> f64 {
    let pairs = a.iter().zip(b.iter().skip(lag));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    let size = (aa * bb).sqrt();
    if size > 0.0 { ab / size } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Vital;
    use crate::diagnose::testing::symptom;
    use crate::model::{EntityName, IncidentId, SignalName, SymptomKind};

    fn at(secs: f64) -> Timestamp {
        Timestamp::from_nanos(1_700_000_000_000_000_000 + (secs * 1e9) as i64)
    }

    struct Pictures(Vec<Chart>);

    impl Vitals for Pictures {
        fn vital(&self, _: &str) -> Vital {
            Vital::default()
        }

        fn chart(&self, entity: &EntityName, _: &SignalName) -> Option<&Chart> {
            self.0.iter().find(|chart| chart.entity == *entity)
        }
    }

    fn anomaly(entity: &str, onset: f64) -> Symptom {
        symptom(entity, SymptomKind::Anomaly, "s", at(onset))
    }

    fn incident(symptoms: Vec<Symptom>) -> Incident {
        Incident {
            id: IncidentId(1),
            onset: at(0.0),
            opened: at(0.0),
            updated: at(0.0),
            closed: None,
            merged_into: None,
            topology_version: 0,
            symptoms,
            past: Vec::new(),
            links: Vec::new(),
            hypotheses: Vec::new(),
        }
    }

    fn chart(entity: &str, value: impl Fn(u32) -> f64) -> Chart {
        Chart::of(
            entity.into(),
            "s".into(),
            at(0.0),
            (0..90_u32).map(|n| Point {
                at: at(f64::from(n)),
                value: value(n) as f32,
                surprise: 0.0,
            }),
        )
    }

    fn noise(n: u32) -> f64 {
        f64::from(n.wrapping_mul(1_103_515_245).wrapping_add(12_345) >> 16 & 0x7fff) / 32_768.0
    }

    #[test]
    fn a_signal_that_runs_ahead_is_named_with_its_lag() {
        let pictures = Pictures(vec![
            chart("pump", |n| noise(n + 100)),
            chart("tank", |n| 40.0 - 7.0 * noise(n + 96) + 0.3 * noise(n * 31)),
        ]);
        let found = links(
            &incident(vec![anomaly("tank", 2.0), anomaly("pump", 3.0)]),
            &[],
            0.01,
            &pictures,
        );
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].first.entity.as_str(), found[0].then.entity.as_str()),
            ("pump", "tank")
        );
        assert!(
            (found[0].lag_s - 4.0).abs() < 1e-6 && found[0].by == By::Course && found[0].confidence > 0.99,
            "{found:?}"
        );
    }

    #[test]
    fn signals_without_anything_in_common_have_no_lag() {
        let pictures = Pictures(vec![
            chart("pump", |n| noise(n + 100)),
            chart("tank", |n| noise(n * 17 + 5)),
        ]);
        let found = links(
            &incident(vec![anomaly("tank", 2.0), anomaly("pump", 50.0)]),
            &[],
            0.01,
            &pictures,
        );
        assert_eq!(found, []);
    }

    #[test]
    fn beginning_together_is_worth_more_where_it_seldom_begins() {
        let none = Pictures(Vec::new());
        let pair = || incident(vec![anomaly("a", 10.0), anomaly("b", 10.5)]);
        let seldom = links(&pair(), &[], 1.0 / 3600.0, &none);
        assert!(
            seldom.len() == 1 && seldom[0].by == By::Onset && seldom[0].confidence > 0.99,
            "{seldom:?}"
        );
        assert_eq!(links(&pair(), &[], 1.0, &none), []);
        let stranger = anomaly("c", 10.1);
        let with = links(&incident(vec![anomaly("a", 10.0)]), &[&stranger], 1.0 / 3600.0, &none);
        assert_eq!(with[0].then.entity.as_str(), "c");
    }
}
