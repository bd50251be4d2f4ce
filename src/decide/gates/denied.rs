//! Nobody has said no to this very move (`jurymast deny`).

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal, Verdict};

/// See the module.
pub struct Denied;

impl Gate for Denied {
    fn name(&self) -> &'static str {
        Verdict::DENIED
    }

    fn recheck(&self) -> Recheck {
        Recheck::BeforeCommit
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        if let Some(by) = case.denied {
            let reason = format!(
                "{by} said no to a move of {} for this incident; `jurymast approve {}` says yes after all",
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
    fn a_no_stops_the_move_whatever_else_speaks_for_it() {
        let mut fixture = Fixture::new();
        fixture.denied = Some("ann".into());
        assert_eq!(fixture.refused_by(), Some(("denied".into(), Decision::Hold)));
    }
}
