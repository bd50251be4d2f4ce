//! Probes in quiet times: every instance of every service, and the canaries, each at its own phase and at least once in its interval.
//!
//! Never in step: who looks each second sees what falls and rises each second at the same moment of its round every time, and may find it well for as
//! long as that goes on. So the pauses differ, by a sequence without a period.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::act::Prober;
use crate::clock::wall_clock;
use crate::engine::Input;
use crate::model::service::ProbeSpec;
use crate::model::{Check, Entity, EntityName, Event, EventKind};

/// Every first probe is sent within this.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// The shortest pause, of the interval; the longest is the interval itself.
const SHORTEST: f64 = 0.5;

/// Multiples of the golden section lie more evenly between two whole numbers than those of any other number.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// One thing that is probed again and again.
pub struct Standing {
    /// Whom.
    pub entity: Entity,
    /// How.
    pub spec: ProbeSpec,
    /// As an instance of a service or as a canary.
    pub check: Check,
}

/// How long to wait after the look of that number.
fn pause(interval: Duration, number: u32) -> Duration {
    let share = (f64::from(number) * GOLDEN).fract();
    interval.mul_f64(1.0 - (1.0 - SHORTEST) * share)
}

/// Probes until `stop`. Each probe starts on its own phase, so that a fleet's probes do not come in one burst.
pub fn start(
    standing: Vec<Standing>,
    prober: &Arc<Prober>,
    vantage: &EntityName,
    inbox: &mpsc::Sender<Input>,
    stop: &CancellationToken,
) {
    let count = u32::try_from(standing.len().max(1)).unwrap_or(u32::MAX);
    for (place, standing) in (0_u32..).zip(standing) {
        let (prober, vantage, inbox, stop) = (Arc::clone(prober), vantage.clone(), inbox.clone(), stop.clone());
        tokio::spawn(async move {
            let interval = standing.spec.interval.0.max(Duration::from_millis(10));
            // The first look comes soon, however seldom the later ones: nothing is moved to where nobody has looked.
            let first = interval.min(FIRST_WITHIN) * place / count;
            let mut due = tokio::time::Instant::now() + first;
            let mut number = place;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep_until(due) => {}
                }
                // A look that came late puts off those after it: they are not made up for in a burst.
                due = tokio::time::Instant::now() + pause(interval, number);
                number = number.wrapping_add(1);
                let event = look(
                    &prober,
                    &standing.entity,
                    &standing.spec,
                    &vantage,
                    standing.check,
                    None,
                )
                .await;
                super::send(&inbox, Input::Event(event)).await;
            }
        });
    }
}

/// One probe, as an event.
pub async fn look(
    prober: &Prober,
    entity: &Entity,
    spec: &ProbeSpec,
    vantage: &EntityName,
    check: Check,
    asked: Option<u64>,
) -> Event {
    let at = wall_clock();
    let reach = prober.probe(spec, entity).await;
    Event {
        entity: entity.name.clone(),
        at,
        seen: wall_clock(),
        kind: EventKind::Reach {
            vantage: vantage.clone(),
            check,
            reach,
            asked,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When the looks of one place come, from that moment on.
    fn looks(interval: Duration, first: Duration, place: u32) -> impl Iterator<Item = Duration> {
        (place..).scan(first, move |at, number| {
            let now = *at;
            *at += pause(interval, number);
            Some(now)
        })
    }

    /// It is down for seven tenths of each round, and up again just when whoever keeps step with it looks.
    #[test]
    fn what_falls_and_rises_in_step_with_the_interval_is_soon_seen_down() {
        let interval = Duration::from_secs(1);
        let blind_for = |round_ms: u128, first: Duration, place: u32| {
            let is_down = |at: &Duration| at.as_millis() % round_ms < round_ms * 7 / 10;
            let seen = looks(interval, first, place).take(100).find(is_down);
            seen.map_or(Duration::MAX, |at| at.saturating_sub(first))
        };
        for place in 0..100 {
            for round_ms in (500..=2000).step_by(50) {
                for first in (0..round_ms).step_by(10).map(|ms| Duration::from_millis(ms as u64)) {
                    let blind = blind_for(round_ms, first, place);
                    let bound = if round_ms >= 950 { 3 } else { 7 };
                    assert!(
                        blind <= interval * bound,
                        "round of {round_ms} ms, from {first:?} on, place {place}: {blind:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_pause_is_never_longer_than_the_interval_nor_much_shorter() {
        let interval = Duration::from_secs(10);
        for number in (0..1000).chain(u32::MAX - 1000..=u32::MAX) {
            let pause = pause(interval, number);
            assert!(pause <= interval && pause >= interval.mul_f64(SHORTEST), "{pause:?}");
        }
    }
}
