//! Probes in quiet times: every instance of every service, and the canaries, each at its own interval and phase.

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

/// One thing that is probed again and again.
pub struct Standing {
    /// Whom.
    pub entity: Entity,
    /// How.
    pub spec: ProbeSpec,
    /// As an instance of a service or as a canary.
    pub check: Check,
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
            let mut due = tokio::time::interval_at(tokio::time::Instant::now() + first, interval);
            due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = due.tick() => {}
                }
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
