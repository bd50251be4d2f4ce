//! Where two actives would corrupt data, the plan can take the old active's power.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal};

/// See the module.
pub struct Fenced;

impl Gate for Fenced {
    fn name(&self) -> &'static str {
        "fence"
    }

    fn recheck(&self) -> Recheck {
        Recheck::Never
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        if case.service.single_writer && !case.fenced {
            let reason = format!(
                "{} must have a single writer, but its playbook {} has no fence step that holds",
                case.service.name, case.service.playbook
            );
            return case.refuse(self, Decision::Ask, reason);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::case::fixture::Fixture;

    #[test]
    fn no_fence_no_move_of_a_single_writer() {
        let mut fixture = Fixture::new();
        fixture.fenced = false;
        assert_eq!(fixture.refused_by(), Some(("fence".into(), Decision::Ask)));
        fixture.service.single_writer = false;
        assert_eq!(fixture.refused_by(), None);
    }
}
