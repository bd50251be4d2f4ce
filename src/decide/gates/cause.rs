//! The cause is one that moving this service cures.
//!
//! A bad sensor, a poisoned message, a shared dependency or our own lost network is not. An unknown cause asks a person.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Hypothesis, Refusal};

/// See the module.
pub struct Cause;

impl Gate for Cause {
    fn name(&self) -> &'static str {
        "moving-helps"
    }

    fn recheck(&self) -> Recheck {
        Recheck::BeforeCommit
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        let Some(top) = case.top() else {
            return case.refuse(self, Decision::Hold, "no cause is known yet".into());
        };
        // It may also be that the first is not curable and yet, all causes taken together, a move all but surely cures.
        if case.cures(top) || case.cure_probability() >= case.service.min_probability {
            return Ok(());
        }
        if !Hypothesis::is_of_a_pattern(&top.fault) {
            // Symptoms at the active instance without a known cause may need a move; nobody but a person can tell.
            let at_active = case
                .incident
                .symptoms
                .iter()
                .any(|symptom| symptom.key.entity == case.state.active);
            let decision = if at_active { Decision::Ask } else { Decision::Ignore };
            let reason = format!(
                "no known fault explains this (p = {:.2} for something else)",
                top.probability
            );
            return case.refuse(self, decision, reason);
        }
        let reason = if top.moving_helps {
            format!(
                "{} at {} would hit every standby of {} as well",
                top.fault, top.entity, case.service.name
            )
        } else {
            format!(
                "moving does not cure {} at {}; the remedy is to {}",
                top.fault,
                top.entity,
                top.remedy.phrase()
            )
        };
        case.refuse(self, Decision::Ignore, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::case::fixture::Fixture;

    #[test]
    fn a_fault_that_a_move_does_not_cure_is_left_alone() {
        let mut fixture = Fixture::new();
        fixture.top().moving_helps = false;
        assert_eq!(fixture.refused_by(), Some(("moving-helps".into(), Decision::Ignore)));
    }

    #[test]
    fn a_fault_of_what_all_instances_need_is_left_alone() {
        let mut fixture = Fixture::new();
        fixture.top().entity = "store".into();
        assert_eq!(fixture.refused_by(), Some(("moving-helps".into(), Decision::Ignore)));
    }

    #[test]
    fn a_fault_of_the_host_below_is_cured_by_leaving_it() {
        let mut fixture = Fixture::new();
        fixture.top().entity = "host-a".into();
        assert_eq!(fixture.refused_by(), None);
    }

    #[test]
    fn an_unknown_cause_at_the_active_asks_a_person() {
        let mut fixture = Fixture::new();
        fixture.top().fault = Hypothesis::SOMETHING_ELSE.into();
        fixture.top().moving_helps = false;
        assert_eq!(fixture.refused_by(), Some(("moving-helps".into(), Decision::Ask)));
    }
}
