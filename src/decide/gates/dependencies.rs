//! What the service needs wherever it runs answers, and was looked at since the fall.
//!
//! A consumer often ends itself, or fails, a moment before anybody has noticed that its database or its broker is gone. A move
//! would take the trouble along, and a wrong move costs more than a slow one.

use crate::decide::{Case, Gate, Look, Recheck};
use crate::model::{Check, Decision, EntityName, Refusal, Span, Timestamp};

/// See the module.
pub struct Dependencies;

impl Gate for Dependencies {
    fn name(&self) -> &'static str {
        "dependencies"
    }

    fn recheck(&self) -> Recheck {
        Recheck::BeforeCommit
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        let active = &case.state.active;
        let fell = case.fell();
        let waited = Span(case.passed(fell));
        for needed in shared(case) {
            let looks: Vec<(Check, &Look)> = case
                .senses
                .looks(needed.as_str())
                .map(|(check, _, look)| (check, look))
                .collect();
            if let Some((_, bad)) = looks
                .iter()
                .find(|(_, look)| !look.reach.is_good() && fresh(look, fell))
            {
                let reason = format!(
                    "{needed}, which every instance of {} needs, does not answer well either (at {}): a move would take the trouble along",
                    case.service.name, bad.at
                );
                return case.refuse(self, Decision::Hold, reason);
            }
            // A session speaks up when it ends; whoever is asked now and then was last asked before.
            let mut asked = looks.iter().filter(|(check, _)| *check != Check::Session).peekable();
            let waits = asked.peek().is_some() && asked.all(|(_, look)| look.at < fell);
            if waits && waited < case.policy.dependency_wait {
                let reason = format!(
                    "{needed} was not looked at since {active} fell {waited} ago; waiting up to {} for it (policy.dependency_wait)",
                    case.policy.dependency_wait
                );
                return case.refuse(self, Decision::Hold, reason);
            }
        }
        Ok(())
    }
}

/// A bad answer counts from a little before the fall on: whose fault it is shows at both at about the same time.
fn fresh(look: &Look, fell: Timestamp) -> bool {
    look.at + Span::secs(30).0 >= fell
}

/// What the active instance and every standby stand on.
fn shared(case: &Case<'_>) -> Vec<EntityName> {
    let mut common = case.topology.upstream(case.state.active.as_str());
    for standby in case
        .service
        .instances()
        .filter(|instance| **instance != case.state.active)
    {
        let theirs = case.topology.upstream(standby.as_str());
        common.retain(|entity| theirs.contains(entity));
    }
    common.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::case::fixture::Fixture;
    use crate::decide::senses::tests::look;
    use crate::model::{Check, Reach};

    #[test]
    fn a_database_that_is_down_too_is_not_left_by_moving() {
        let mut fixture = Fixture::new();
        fixture
            .senses
            .observe(&look("store", Check::Scrape, Reach::Refused, fixture.now));
        assert_eq!(fixture.refused_by(), Some(("dependencies".into(), Decision::Hold)));
    }

    #[test]
    fn a_database_that_nobody_has_looked_at_since_is_waited_for() {
        let mut fixture = Fixture::new();
        fixture.senses = crate::decide::Senses::default();
        let before = fixture.now - Span::millis(800).0;
        fixture.incident.onset = fixture.now - Span::millis(700).0;
        fixture.incident.symptoms[0].onset = fixture.incident.onset;
        let good = Reach::Good { took: Span::millis(1) };
        fixture
            .senses
            .observe(&look("ingest-a", Check::Probe, Reach::Refused, fixture.now));
        fixture
            .senses
            .observe(&look("ingest-b", Check::Probe, good.clone(), fixture.now));
        fixture.senses.observe(&look("store", Check::Scrape, good, before));
        assert_eq!(fixture.refused_by(), Some(("dependencies".into(), Decision::Hold)));
        fixture.policy.dependency_wait = Span::millis(600);
        assert_eq!(fixture.refused_by(), None, "not for ever");
    }

    #[test]
    fn what_only_the_active_needs_is_left_behind() {
        let mut fixture = Fixture::new();
        let edge = crate::model::TopologyChange::Edge {
            from: "ingest-a".into(),
            edge: crate::model::EdgeKind::DependsOn,
            to: "broker".into(),
        };
        fixture.topology.apply(&edge);
        fixture
            .senses
            .observe(&look("broker", Check::Scrape, Reach::Refused, fixture.now));
        assert_eq!(fixture.refused_by(), None);
    }
}
