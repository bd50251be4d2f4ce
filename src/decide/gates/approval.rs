//! Where the service wants a person's yes, it was given.

use crate::decide::{Case, Gate, Recheck};
use crate::model::service::Approval;
use crate::model::{Decision, Refusal};

/// See the module.
pub struct Approved;

impl Gate for Approved {
    fn name(&self) -> &'static str {
        "approval"
    }

    fn recheck(&self) -> Recheck {
        Recheck::Never
    }

    fn is_question(&self) -> bool {
        true
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        if case.service.approval == Approval::Ask && !case.approved {
            let reason = format!(
                "{} is moved only with a yes: `jurymast approve {}`",
                case.service.name, case.incident.id
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
    fn a_person_is_asked_last_and_answered_once() {
        let mut fixture = Fixture::new();
        fixture.service.approval = Approval::Ask;
        assert_eq!(fixture.refused_by(), Some(("approval".into(), Decision::Ask)));
        fixture.approved = true;
        assert_eq!(fixture.refused_by(), None);
    }
}
