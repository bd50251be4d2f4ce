//! What really happened, and which verdict is right: known from the script, not from what the engine makes of it.

use crate::capsule::{Expected, Truth};
use crate::decide::curable;
use crate::diagnose::{Library, PatternCase, reach_of};
use crate::model::{Decision, EntityName, Hypothesis, Remedy, Service, Span, Timestamp, Topology};

use super::script::{AGENT, Script};

/// One for each fault of the case that has a place.
pub fn truth(
    case: &PatternCase,
    script: &Script,
    topology: &Topology,
    library: &Library,
    services: &[Service],
    begin: Timestamp,
) -> Result<Vec<Truth>, String> {
    let first = script.shown.iter().map(|shown| shown.after.0).min().unwrap_or_default();
    let mut found = Vec::new();
    for expected in &case.expect {
        let Some(at) = &expected.at else { continue };
        // Nobody knows what is right about what nobody knows, but that nothing is moved for it.
        if !Hypothesis::is_of_a_pattern(&expected.fault) {
            continue;
        }
        let Some(pattern) = library.patterns().find(|pattern| pattern.name == expected.fault) else {
            return Err(format!("no pattern is called {}", expected.fault));
        };
        found.push(Truth {
            fault: expected.fault.clone(),
            entity: at.clone(),
            onset: begin + script.onset + first,
            cured_by: pattern.remedy,
            verdict: right(
                pattern.remedy,
                pattern.moving_helps,
                &expected.fault,
                at,
                script,
                topology,
                services,
            ),
        });
    }
    Ok(found)
}

/// A move where the fault is one that a move cures, the active instance has fallen, and a standby has not.
fn right(
    remedy: Remedy,
    moving_helps: bool,
    fault: &crate::model::FaultName,
    at: &EntityName,
    script: &Script,
    topology: &Topology,
    services: &[Service],
) -> Expected {
    let cause = Hypothesis {
        fault: fault.clone(),
        entity: at.clone(),
        probability: 1.0,
        remedy,
        moving_helps,
        hold_off: Span::default(),
        explains: Vec::new(),
        evidence_for: Vec::new(),
        evidence_against: Vec::new(),
    };
    let mut cured = services
        .iter()
        .filter(|service| curable(&cause, service, &service.active, topology));
    let fallen = |entity: &EntityName| {
        let mut down = false;
        for shown in script.shown.iter().filter(|shown| shown.key.entity == *entity) {
            if reach_of(shown.key.kind).is_some() {
                down = !shown.over;
            }
        }
        down
    };
    let expected = |service: Option<&Service>, decision, gate: Option<&str>| Expected {
        service: service.map(|service| service.name.clone()),
        decision,
        gate: gate.map(str::to_owned),
    };
    match cured.next() {
        Some(service) if fallen(&service.active) => expected(Some(service), Decision::Act, None),
        // It serves: a move would be its first outage.
        Some(service) => expected(Some(service), Decision::Hold, None),
        None if at.as_str() == AGENT => expected(None, Decision::Hold, Some("own-senses")),
        None => expected(None, Decision::Ignore, Some("moving-helps")),
    }
}
