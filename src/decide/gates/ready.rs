//! This agent has not just stood still or had its clock moved: evidence from around such a moment is worth nothing.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal};

/// See the module.
pub struct Ready;

impl Gate for Ready {
    fn name(&self) -> &'static str {
        "ready"
    }

    fn recheck(&self) -> Recheck {
        Recheck::BeforeCommit
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        match case.unready {
            Some((until, reason)) if case.now < until => case.refuse(
                self,
                Decision::Hold,
                format!("this agent is not ready until {until}: {reason}"),
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::case::fixture::Fixture;
    use crate::model::Span;

    #[test]
    fn after_a_stall_of_its_own_an_agent_waits() {
        let mut fixture = Fixture::new();
        fixture.unready = Some((fixture.now + Span::secs(1).0, "the loop stood still for 4s".into()));
        assert_eq!(fixture.refused_by(), Some(("ready".into(), Decision::Hold)));
    }
}
