//! What to do about it, by what each remedy is expected to cost over all causes that may be meant, and not by the first of them alone.
//!
//! A remedy that cures ends the trouble after the time that it takes. One that does not has cost its time and its damage, and then a person must find out
//! and repair. A wrong move is dear, a wrong wait is not, and each minute of downtime counts.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{EntityName, Hypothesis, Incident, Remedy, RemedyCost, Service, Span, SymptomKind, Topology};

use super::curable;

/// How often a remedy works where it is the right one.
const WORKS: f64 = 0.98;

/// What things cost, in any one unit. By the defaults one minute of downtime is 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Costs {
    /// One minute in which a service is down.
    pub downtime_per_minute: f64,
    /// One minute of a trouble that takes no service of ours down.
    pub trouble_per_minute: f64,
    /// A move, even where it is right.
    pub a_move: f64,
    /// The damage of a move that was not the cure.
    pub wrong_move: f64,
    /// The damage of a restore that was not the cure: what was written since is lost.
    pub wrong_restore: f64,
    /// The damage of any other remedy that was not the cure.
    pub wrong_other: f64,
    /// Calling a person.
    pub call: f64,
    /// How long a person takes to do what we tell them to.
    pub person_takes: Span,
    /// How long a person takes to find out and repair.
    pub repair_takes: Span,
    /// What passes by itself has passed after so long.
    pub passes_after: Span,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            downtime_per_minute: 1.0,
            trouble_per_minute: 0.05,
            a_move: 1.0,
            wrong_move: 60.0,
            wrong_restore: 120.0,
            wrong_other: 5.0,
            call: 3.0,
            person_takes: Span::secs(15 * 60),
            repair_takes: Span::secs(45 * 60),
            passes_after: Span::secs(5 * 60),
        }
    }
}

impl Costs {
    /// Every number with its name in the config, for checking.
    pub fn numbers(&self) -> [(&'static str, f64); 7] {
        [
            ("policy.costs.downtime_per_minute", self.downtime_per_minute),
            ("policy.costs.trouble_per_minute", self.trouble_per_minute),
            ("policy.costs.a_move", self.a_move),
            ("policy.costs.wrong_move", self.wrong_move),
            ("policy.costs.wrong_restore", self.wrong_restore),
            ("policy.costs.wrong_other", self.wrong_other),
            ("policy.costs.call", self.call),
        ]
    }

    /// How long the remedy takes where it is the right one.
    fn takes(&self, remedy: Remedy, service: Option<&Service>) -> f64 {
        let span = match remedy {
            Remedy::Failover => service.map_or(Span::default(), |service| service.rto),
            Remedy::Wait => self.passes_after,
            Remedy::Notify => self.repair_takes,
            Remedy::Restart | Remedy::Restore | Remedy::Isolate | Remedy::Reroute | Remedy::Shed => self.person_takes,
        };
        minutes(span)
    }

    /// What it costs in any case. What is not ours to do needs a person.
    const fn effort(&self, remedy: Remedy) -> f64 {
        match remedy {
            Remedy::Failover => self.a_move,
            Remedy::Wait => 0.0,
            Remedy::Notify | Remedy::Restart | Remedy::Restore | Remedy::Isolate | Remedy::Reroute | Remedy::Shed => {
                self.call
            }
        }
    }

    const fn damage(&self, remedy: Remedy) -> f64 {
        match remedy {
            Remedy::Failover => self.wrong_move,
            Remedy::Restore => self.wrong_restore,
            Remedy::Restart | Remedy::Isolate | Remedy::Reroute | Remedy::Shed => self.wrong_other,
            Remedy::Notify | Remedy::Wait => 0.0,
        }
    }
}

fn minutes(span: Span) -> f64 {
    span.0.as_secs_f64() / 60.0
}

/// An incident, and the service that it is judged for, with its active instance.
pub struct Matter<'a> {
    /// What happened.
    pub incident: &'a Incident,
    /// For whom; `None` where no service of ours suffers.
    pub service: Option<(&'a Service, &'a EntityName)>,
    /// The graph.
    pub topology: &'a Topology,
}

/// What each remedy is expected to cost, the cheapest first.
pub fn remedies(matter: &Matter<'_>, costs: &Costs) -> Vec<RemedyCost> {
    let causes: Vec<Cause> = matter.causes(costs);
    let mut options: BTreeSet<Remedy> = causes
        .iter()
        .map(|cause| cause.remedy)
        .filter(|remedy| *remedy != Remedy::Failover)
        .collect();
    options.extend([Remedy::Notify, Remedy::Wait]);
    if causes.iter().any(|cause| cause.moved_from) {
        options.insert(Remedy::Failover);
    }
    let service = matter.service.map(|(service, _)| service);
    let known: f64 = causes.iter().map(|cause| cause.probability).sum();
    let mut weighed: Vec<RemedyCost> = options
        .into_iter()
        .map(|remedy| {
            let cost: f64 = causes
                .iter()
                .map(|cause| cause.probability * cause.cost(remedy, service, costs))
                .sum();
            // Causes too improbable to be listed are left out of the sum.
            let cost = cost / known.max(1e-9);
            RemedyCost {
                remedy,
                cost: (cost * 100.0).round() / 100.0,
            }
        })
        .collect();
    weighed.sort_by(|a, b| a.cost.total_cmp(&b.cost).then_with(|| a.remedy.cmp(&b.remedy)));
    weighed
}

/// A cause, as far as costs go.
struct Cause {
    probability: f64,
    remedy: Remedy,
    /// A move of the service cures it.
    moved_from: bool,
    /// What a minute of it costs.
    a_minute: f64,
}

impl Matter<'_> {
    fn causes(&self, costs: &Costs) -> Vec<Cause> {
        let upstream = self
            .service
            .map(|(_, active)| self.topology.upstream(active.as_str()))
            .unwrap_or_default();
        let is_down = self.service.is_some_and(|(_, active)| {
            let mut symptoms = self.incident.symptoms.iter();
            symptoms.any(|symptom| symptom.key.entity == *active && down(symptom.key.kind))
        });
        let cause = |hypothesis: &Hypothesis| {
            let hits = self
                .service
                .is_some_and(|(_, active)| hypothesis.entity == *active || upstream.contains(&hypothesis.entity));
            Cause {
                probability: hypothesis.probability,
                remedy: hypothesis.remedy,
                moved_from: self
                    .service
                    .is_some_and(|(service, active)| curable(hypothesis, service, active, self.topology)),
                a_minute: if hits || is_down {
                    costs.downtime_per_minute
                } else {
                    costs.trouble_per_minute
                },
            }
        };
        self.incident.hypotheses.iter().map(cause).collect()
    }
}

impl Cause {
    /// What the remedy costs if this is the cause.
    fn cost(&self, remedy: Remedy, service: Option<&Service>, costs: &Costs) -> f64 {
        let takes = costs.takes(remedy, service);
        let passes = self.remedy == Remedy::Wait;
        if remedy == Remedy::Notify {
            // Whoever is called finds it over.
            let lasts = if passes { minutes(costs.passes_after) } else { takes };
            return costs.call + lasts * self.a_minute;
        }
        let right = match remedy {
            Remedy::Failover => self.moved_from,
            other => self.remedy == other,
        };
        let works = if right { WORKS } else { 0.0 };
        let effort = costs.effort(remedy);
        let called = if matches!(remedy, Remedy::Failover | Remedy::Wait) {
            costs.call
        } else {
            0.0
        };
        let lasts = minutes(if passes { costs.passes_after } else { costs.repair_takes });
        let in_vain = (takes + lasts) * self.a_minute + costs.damage(remedy) + called;
        effort + works * takes * self.a_minute + (1.0 - works) * in_vain
    }
}

const fn down(kind: SymptomKind) -> bool {
    matches!(
        kind,
        SymptomKind::Refused
            | SymptomKind::NoAnswer
            | SymptomKind::Unreachable
            | SymptomKind::Failing
            | SymptomKind::Lost
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::case::fixture::Fixture;

    fn cheapest(fixture: &Fixture) -> Remedy {
        fixture.case().remedies()[0].remedy
    }

    #[test]
    fn a_dead_active_is_cheapest_left_behind() {
        assert_eq!(cheapest(&Fixture::new()), Remedy::Failover);
    }

    #[test]
    fn in_doubt_a_wrong_move_is_dearer_than_a_call() {
        let mut fixture = Fixture::new();
        fixture.top().probability = 0.3;
        let mut other = fixture.top().clone();
        other.fault = "poisoned-message".into();
        other.entity = "sensor-1".into();
        other.probability = 0.7;
        other.remedy = Remedy::Isolate;
        other.moving_helps = false;
        fixture.incident.hypotheses.push(other);
        assert_ne!(cheapest(&fixture), Remedy::Failover);
        fixture.policy.costs.wrong_move = 0.0;
        fixture.policy.costs.repair_takes = Span::secs(3600);
        fixture.policy.costs.person_takes = Span::secs(3600);
        assert_eq!(
            cheapest(&fixture),
            Remedy::Failover,
            "where it costs nothing it is tried"
        );
    }

    #[test]
    fn what_is_not_ours_to_cure_is_told_to_people() {
        let mut fixture = Fixture::new();
        fixture.top().moving_helps = false;
        fixture.top().remedy = Remedy::Notify;
        assert_eq!(cheapest(&fixture), Remedy::Notify);
        fixture.top().remedy = Remedy::Restart;
        assert_eq!(cheapest(&fixture), Remedy::Restart);
        fixture.top().remedy = Remedy::Wait;
        assert_eq!(cheapest(&fixture), Remedy::Wait);
    }

    #[test]
    fn a_cause_that_hits_nobody_of_ours_costs_little() {
        let fixture = Fixture::new();
        let matter = Matter {
            incident: &fixture.incident,
            service: None,
            topology: &fixture.topology,
        };
        let ours = fixture.case().remedies();
        let nobodys = remedies(&matter, &Costs::default());
        let notify = |costs: &[RemedyCost]| {
            let found = costs.iter().find(|option| option.remedy == Remedy::Notify);
            found.map(|option| option.cost).unwrap()
        };
        assert!(notify(&nobodys) < notify(&ours));
        assert!(nobodys.iter().all(|option| option.remedy != Remedy::Failover));
    }
}
