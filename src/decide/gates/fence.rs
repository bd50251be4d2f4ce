//! Where two actives would corrupt data, the plan can take the power of the old active, and of whoever was tried in vain.

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
        if let Some(why) = &case.unfenced {
            let reason = format!("{} must have a single writer: {why}", case.service.name);
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
        fixture.unfenced = Some("its playbook has no fence".into());
        assert_eq!(fixture.refused_by(), Some(("fence".into(), Decision::Ask)));
        fixture.unfenced = None;
        assert_eq!(fixture.refused_by(), None);
    }
}
