//! No other plan for this service is running, and none left it for a person to look at.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal};

/// See the module.
pub struct InFlight;

impl Gate for InFlight {
    fn name(&self) -> &'static str {
        "in-flight"
    }

    fn recheck(&self) -> Recheck {
        Recheck::Never
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        if let Some(plan) = &case.state.running {
            return case.refuse(self, Decision::Hold, format!("plan {plan} is running"));
        }
        match &case.state.handed_over {
            Some(reason) if !case.approved => {
                let reason = format!("the last plan was handed to a person: {reason}");
                case.refuse(self, Decision::Ask, reason)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::case::fixture::Fixture;
    use crate::model::PlanId;

    #[test]
    fn one_plan_at_a_time() {
        let mut fixture = Fixture::new();
        fixture.state.running = Some(PlanId("ingest-1-1".into()));
        assert_eq!(fixture.refused_by(), Some(("in-flight".into(), Decision::Hold)));
    }

    #[test]
    fn what_was_handed_to_a_person_stays_with_the_person() {
        let mut fixture = Fixture::new();
        fixture.state.handed_over = Some("no target answered".into());
        assert_eq!(fixture.refused_by(), Some(("in-flight".into(), Decision::Ask)));
        fixture.approved = true;
        assert_eq!(fixture.refused_by(), None);
    }
}
