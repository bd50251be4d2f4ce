//! Fresh probes from enough vantage points agree that the active instance does not serve, and none says that it does.
//!
//! An instance that says by its own numbers that it is ill has confirmed it itself, where the target says by the same numbers that it is well: a health
//! endpoint may answer well while all work fails. Its word counts as one vantage point, whoever has heard it.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Check, Reach};
use crate::model::{Decision, Refusal};

/// See the module.
pub struct Confirmed;

impl Gate for Confirmed {
    fn name(&self) -> &'static str {
        "confirmed"
    }

    fn recheck(&self) -> Recheck {
        Recheck::BeforeCommit
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        let fresh = case
            .senses
            .looks(case.state.active.as_str())
            .filter(|(check, _, look)| {
                *check == Check::Probe && case.now.since(look.at) <= case.policy.confirm_max_age.0
            });
        let mut agreeing = usize::from(case.says_ill.is_some());
        for (_, vantage, look) in fresh {
            match look.reach {
                // What answered before it broke says nothing against it. Whoever failed to reach it then has only seen it sooner than whoever says since when.
                Reach::Good { .. } if case.says_ill.is_some() || look.at < case.incident.onset => {}
                Reach::Good { .. } => {
                    let reason = format!("{} still answers {vantage}", case.state.active);
                    return case.refuse(self, Decision::Hold, reason);
                }
                // A wrong login or an unexpected page says nothing of health.
                Reach::Odd { .. } => {}
                Reach::Refused | Reach::NoAnswer | Reach::Unreachable | Reach::Failing { .. } => agreeing += 1,
            }
        }
        if agreeing < usize::from(case.service.confirm) {
            let reason = format!(
                "{agreeing} of {} vantage points have confirmed within {} that {} does not serve",
                case.service.confirm, case.policy.confirm_max_age, case.state.active
            );
            return case.refuse(self, Decision::Hold, reason);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Senses;
    use crate::decide::case::fixture::Fixture;
    use crate::decide::senses::tests::look;
    use crate::model::{EventKind, Span};

    #[test]
    fn an_active_that_answers_is_not_moved() {
        let mut fixture = Fixture::new();
        let good = Reach::Good { took: Span::millis(2) };
        fixture
            .senses
            .observe(&look("ingest-a", Check::Probe, good, fixture.now));
        fixture.service.hold_off = Span::default();
        assert_eq!(fixture.refused_by(), Some(("confirmed".into(), Decision::Hold)));
    }

    #[test]
    fn an_active_that_answers_and_says_itself_that_it_is_ill_is_moved() {
        let mut fixture = Fixture::new();
        let good = Reach::Good { took: Span::millis(2) };
        fixture
            .senses
            .observe(&look("ingest-a", Check::Probe, good, fixture.now));
        fixture.says_ill = Some(fixture.incident.onset);
        assert_eq!(fixture.refused_by(), None);
        fixture.service.confirm = 2;
        assert_eq!(
            fixture.refused_by(),
            Some(("confirmed".into(), Decision::Hold)),
            "its word is one, whoever hears it"
        );
        fixture.service.confirm = 1;
        fixture.says_ill = Some(fixture.now);
        assert_eq!(fixture.refused_by(), Some(("hold-off".into(), Decision::Hold)));
    }

    #[test]
    fn two_vantage_points_are_two() {
        let mut fixture = Fixture::new();
        fixture.service.confirm = 2;
        assert_eq!(fixture.refused_by(), Some(("confirmed".into(), Decision::Hold)));
    }

    #[test]
    fn another_vantage_point_may_have_seen_it_before_the_fault_is_said_to_have_begun() {
        let mut fixture = Fixture::new();
        fixture.service.confirm = 2;
        let sooner = fixture.incident.onset - Span::millis(40).0;
        let mut other = look("ingest-a", Check::Probe, Reach::Refused, sooner);
        if let EventKind::Reach { vantage, .. } = &mut other.kind {
            *vantage = "two".into();
        }
        fixture.now = sooner + Span::millis(1900).0;
        fixture.senses.observe(&other);
        fixture
            .senses
            .observe(&look("ingest-a", Check::Probe, Reach::Refused, fixture.now));
        assert_eq!(fixture.refused_by(), None);
        fixture.now = sooner + Span::millis(2100).0;
        assert_eq!(
            fixture.refused_by(),
            Some(("confirmed".into(), Decision::Hold)),
            "no longer fresh"
        );
    }

    #[test]
    fn what_answered_before_the_fault_began_does_not_speak_against_it() {
        let mut fixture = Fixture::new();
        let good = Reach::Good { took: Span::millis(2) };
        let mut other = look(
            "ingest-a",
            Check::Probe,
            good,
            fixture.incident.onset - Span::millis(40).0,
        );
        if let EventKind::Reach { vantage, .. } = &mut other.kind {
            *vantage = "two".into();
        }
        fixture.senses.observe(&other);
        assert_eq!(fixture.refused_by(), None);
    }

    #[test]
    fn a_failed_scrape_is_no_confirmation() {
        let mut fixture = Fixture::new();
        fixture.senses = Senses::default();
        fixture
            .senses
            .observe(&look("ingest-a", Check::Scrape, Reach::Refused, fixture.now));
        fixture
            .senses
            .observe(&look("printer", Check::Scrape, Reach::Refused, fixture.now));
        assert_eq!(fixture.refused_by(), Some(("confirmed".into(), Decision::Hold)));
    }
}
