//! The trouble has lasted long enough: a restart that cures itself is not a failover.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal, Span};

/// See the module.
pub struct HoldOff;

impl Gate for HoldOff {
    fn name(&self) -> &'static str {
        "hold-off"
    }

    fn recheck(&self) -> Recheck {
        Recheck::Never
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        // Whatever came back in between starts the wait anew: an instance that flaps is not moved on each fall.
        let lasted = Span(case.passed(case.fell()));
        // What usually ends by itself may ask for more patience than the service does.
        let of_fault = case.top().map_or_else(Span::default, |top| top.hold_off);
        let hold_off = case.service.hold_off.max(of_fault);
        if lasted < hold_off {
            let reason = format!("the trouble has lasted {lasted} of the {hold_off} of hold-off");
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

    #[test]
    fn a_blip_is_waited_out() {
        let mut fixture = Fixture::new();
        fixture.incident.onset = fixture.now;
        fixture.incident.symptoms[0].onset = fixture.now;
        assert_eq!(fixture.refused_by(), Some(("hold-off".into(), Decision::Hold)));
    }

    #[test]
    fn a_fault_that_usually_ends_by_itself_is_given_its_own_time() {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.refused_by(), None);
        fixture.top().hold_off = Span::secs(600);
        assert_eq!(fixture.refused_by(), Some(("hold-off".into(), Decision::Hold)));
    }

    #[test]
    fn a_good_answer_in_between_starts_the_wait_anew() {
        let mut fixture = Fixture::new();
        let good = Reach::Good { took: Span::millis(1) };
        fixture.senses.observe(&look(
            "ingest-a",
            Check::Scrape,
            good,
            fixture.now - Span::millis(100).0,
        ));
        assert_eq!(fixture.refused_by(), Some(("hold-off".into(), Decision::Hold)));
    }
}
