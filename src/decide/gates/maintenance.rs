//! The service is not in maintenance.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal};

/// See the module.
pub struct Maintenance;

impl Gate for Maintenance {
    fn name(&self) -> &'static str {
        "maintenance"
    }

    fn recheck(&self) -> Recheck {
        Recheck::BeforeCommit
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        if case.now < case.state.maintenance_until {
            let reason = format!(
                "{} is in maintenance until {}",
                case.service.name, case.state.maintenance_until
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
    use crate::model::Span;

    #[test]
    fn maintenance_is_left_in_peace_until_it_ends() {
        let mut fixture = Fixture::new();
        fixture.state.maintenance_until = fixture.now + Span::secs(1).0;
        assert_eq!(fixture.refused_by(), Some(("maintenance".into(), Decision::Hold)));
        fixture.state.maintenance_until = fixture.now;
        assert_eq!(fixture.refused_by(), None);
    }
}
