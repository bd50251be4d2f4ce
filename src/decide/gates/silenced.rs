//! No silence in Alertmanager covers the service.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal};

/// See the module.
pub struct Silenced;

impl Gate for Silenced {
    fn name(&self) -> &'static str {
        "silenced"
    }

    fn recheck(&self) -> Recheck {
        Recheck::BeforeCommit
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        if case.now < case.state.silenced_until {
            let reason = format!("{} is silenced until {}", case.service.name, case.state.silenced_until);
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
    fn a_silenced_service_is_not_moved() {
        let mut fixture = Fixture::new();
        fixture.state.silenced_until = fixture.now + Span::secs(1).0;
        assert_eq!(fixture.refused_by(), Some(("silenced".into(), Decision::Hold)));
    }
}
