//! The operator has not stopped all acting (`jurymast hold`).

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal};

/// What a hold says to whoever would act.
pub const ON_HOLD: &str = "all acting is on hold: `jurymast hold --off` releases it";

/// See the module.
pub struct Held;

impl Gate for Held {
    fn name(&self) -> &'static str {
        "held"
    }

    fn recheck(&self) -> Recheck {
        Recheck::BeforeCommit
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        if case.held {
            return case.refuse(self, Decision::Hold, ON_HOLD.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::case::fixture::Fixture;

    #[test]
    fn a_hold_stops_every_move() {
        let mut fixture = Fixture::new();
        fixture.held = true;
        assert_eq!(fixture.refused_by(), Some(("held".into(), Decision::Hold)));
    }
}
