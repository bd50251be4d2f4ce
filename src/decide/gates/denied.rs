//! No person has said no to moving the service for this incident.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal};

/// See the module.
pub struct NotDenied;

impl Gate for NotDenied {
    fn name(&self) -> &'static str {
        "denied"
    }

    fn recheck(&self) -> Recheck {
        Recheck::BeforeCommit
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        if case.denied {
            let reason = format!(
                "a person said no to moving {}; `jurymast approve {}` takes it back",
                case.service.name, case.incident.id
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
    fn a_no_holds_for_as_long_as_the_incident_is_open() {
        let mut fixture = Fixture::new();
        fixture.denied = true;
        assert_eq!(fixture.refused_by(), Some(("denied".into(), Decision::Hold)));
    }
}
