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
        let lasted = Span(case.now.since(case.incident.onset));
        if lasted < case.service.hold_off {
            let reason = format!(
                "the trouble has lasted {lasted} of the {} of hold-off",
                case.service.hold_off
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

    #[test]
    fn a_blip_is_waited_out() {
        let mut fixture = Fixture::new();
        fixture.incident.onset = fixture.now;
        assert_eq!(fixture.refused_by(), Some(("hold-off".into(), Decision::Hold)));
    }
}
