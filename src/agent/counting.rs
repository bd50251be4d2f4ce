//! What the engine decides and how it stands, as counters and gauges for `/metrics`.

use serde::Serialize;
use serde_json::Value;

use crate::api::Snapshot;
use crate::engine::{PlanEvent, Record};
use crate::metrics::{ByDecision, ByDrill, ByKind, ByOutcome, ByService, ByState, Metrics};
use crate::model::plan::Outcome;
use crate::model::symptom::Finding;

/// Counts a line of the decision log.
pub fn count(metrics: &Metrics, record: &Record) {
    match record {
        Record::Finding {
            finding: Finding::Raised(symptom),
            ..
        } => {
            let kind = word(&symptom.key.kind);
            metrics.findings.get_or_create(&ByKind { kind }).inc();
        }
        Record::Verdict { verdict } => {
            let by = ByDecision {
                decision: word(&verdict.decision),
                gate: verdict
                    .refusal
                    .as_ref()
                    .map_or_else(String::new, |refusal| refusal.gate.clone()),
            };
            metrics.verdicts.get_or_create(&by).inc();
        }
        Record::Plan { plan, .. } => {
            let kind = word(&plan.kind);
            metrics.plans_started.get_or_create(&ByKind { kind }).inc();
        }
        Record::PlanEvent {
            plan_event: PlanEvent::StepFailed { .. },
            ..
        } => drop(metrics.steps_failed.inc()),
        Record::PlanEvent {
            plan_event: PlanEvent::Ended { outcome, .. },
            ..
        } => {
            let outcome = match outcome {
                Outcome::Done { .. } => "done",
                Outcome::Compensated { .. } => "compensated",
                Outcome::Untouched { .. } => "untouched",
                Outcome::HandedOver { .. } => "handed_over",
            };
            metrics.plans_ended.get_or_create(&ByOutcome { outcome }).inc();
        }
        _ => {}
    }
}

/// As it stands in the decision log.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Sets the gauges to what the picture shows.
pub fn show(metrics: &Metrics, picture: &Snapshot) {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let open = picture.incidents.iter().filter(|incident| incident.is_open()).count();
    metrics.series.set(number(picture.series));
    let learned = picture.learned;
    for (state, count) in [
        ("learning", learned.learning),
        ("watched", learned.watched),
        ("closely", learned.closely),
        ("beyond", learned.beyond),
        ("compared", learned.peers),
        ("gated", learned.gates),
    ] {
        let gauge = metrics.learned_series.get_or_create(&ByState { state });
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    for (state, count) in [
        ("learning", learned.entities_learning),
        ("judged", learned.entities),
        ("beyond", learned.entities_beyond),
    ] {
        let gauge = metrics.learned_entities.get_or_create(&ByState { state });
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    metrics.incidents_open.set(number(open));
    metrics.plans_running.set(number(picture.plans.len()));
    metrics.held.set(i64::from(picture.held));
    metrics.acting.set(i64::from(picture.acting));
    metrics
        .journal_writable
        .set(i64::from(picture.journal_trouble.is_none()));
    metrics.journal_lost.set(i64::from(picture.journal_lost.is_some()));
    metrics
        .journal_torn
        .set(i64::try_from(picture.journal_torn).unwrap_or(i64::MAX));
    metrics.audit_whole.set(i64::from(picture.audit_broken.is_none()));
    let shared = picture.leases.iter().map(|share| share.lease.epoch);
    let epoch = shared.clone().max().unwrap_or(picture.lease.epoch);
    metrics.epoch.set(i64::try_from(epoch).unwrap_or(i64::MAX));
    metrics.leads.set(number(shared.filter(|epoch| *epoch > 0).count()));
    metrics.standing_aside.set(number(picture.standing_aside.len()));
    if let Some(coverage) = picture.coverage {
        metrics.failures_covered.set(number(coverage.covered));
        metrics
            .failures_uncovered
            .set(number(coverage.failures - coverage.covered));
    }
    metrics.engine_time.set(picture.now.nanos() as f64 / 1e9);
    for service in &picture.services {
        let by = ByService {
            service: service.name.to_string(),
        };
        let away = service.state.active != service.home;
        metrics.service_away.get_or_create(&by).set(away.into());
        let person = service.state.handed_over.is_some();
        metrics.service_needs_person.get_or_create(&by).set(person.into());
        let undone = service.state.left_undone.is_some();
        metrics.service_left_undone.get_or_create(&by).set(undone.into());
        let warned = picture.drills.warnings.contains_key(&service.name);
        metrics.drill_warning.get_or_create(&by).set(warned.into());
    }
    for drill in &picture.drills.latest {
        let Some(ended) = drill.ended else { continue };
        let (service, kind) = (drill.service.to_string(), drill.kind.word());
        if let Some(seconds) = drill.switch_s() {
            let by = ByService {
                service: service.clone(),
            };
            metrics.drill_switch.get_or_create(&by).set(seconds);
        }
        let by = ByDrill { service, kind };
        metrics.drill_good.get_or_create(&by).set(drill.is_good().into());
        metrics.drill_time.get_or_create(&by).set(ended.nanos() as f64 / 1e9);
    }
}
