//! The active was well at some time since this agent started: when a whole site gets its power back, agent and service start together, and what is not there
//! yet has not failed.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal, Span};

/// See the module.
pub struct Settled;

impl Gate for Settled {
    fn name(&self) -> &'static str {
        "settled"
    }

    fn recheck(&self) -> Recheck {
        Recheck::Never
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        let (service, active) = (case.service, &case.state.active);
        let wait = case.policy.settle;
        let was_well = case.senses.last_good(active.as_str()).is_some()
            || case.state.moved.is_some_and(|moved| moved >= case.begun);
        if wait.0.is_zero() || was_well {
            return Ok(());
        }
        let wait = wait.max(service.hold_off).max(service.rto);
        let passed = Span(case.passed(case.begun));
        if passed < wait {
            let reason = format!(
                "{active} was never seen well since this agent started, {passed} ago, and may still be starting: it is given {wait} (policy.settle, or the \
                 service's rto if that is longer)"
            );
            return case.refuse(self, Decision::Hold, reason);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::case::fixture::Fixture;
    use crate::decide::senses::tests::look;
    use crate::model::{Check, Reach};

    /// It has just started.
    fn fresh() -> Fixture {
        let mut fixture = Fixture::new();
        fixture.begun = fixture.now - Span::secs(59).0;
        fixture
    }

    #[test]
    fn what_was_never_seen_well_is_given_time_to_start() {
        let mut fixture = fresh();
        assert_eq!(fixture.refused_by(), Some(("settled".into(), Decision::Hold)));
        fixture.begun = fixture.now - Span::secs(60).0;
        assert_eq!(fixture.refused_by(), None);
        fixture.service.rto = Span::secs(90);
        assert_eq!(fixture.refused_by(), Some(("settled".into(), Decision::Hold)));
        fixture.policy.settle = Span::default();
        assert_eq!(fixture.refused_by(), None);
    }

    #[test]
    fn what_was_well_since_has_failed() {
        let mut fixture = fresh();
        let at = fixture.now - Span::secs(10).0;
        let good = Reach::Good { took: Span::millis(1) };
        fixture.senses.observe(&look("ingest-a", Check::Scrape, good, at));
        assert_eq!(fixture.refused_by(), None);
    }

    #[test]
    fn what_a_plan_has_proven_since_was_well() {
        let mut fixture = fresh();
        fixture.service.cool_down = Span::default();
        fixture.state.moved = Some(fixture.now - Span::secs(30).0);
        assert_eq!(fixture.refused_by(), None);
        fixture.state.moved = Some(fixture.begun - Span::secs(1).0);
        assert_eq!(fixture.refused_by(), Some(("settled".into(), Decision::Hold)));
    }
}
