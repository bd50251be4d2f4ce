//! Where the operator wants it so: the service's last drill was good, and not too long ago.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal};

/// See the module.
pub struct Drilled;

impl Gate for Drilled {
    fn name(&self) -> &'static str {
        "drilled"
    }

    fn recheck(&self) -> Recheck {
        Recheck::Never
    }

    fn is_question(&self) -> bool {
        true
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        match case.undrilled {
            Some(why) if !case.approved => case.refuse(self, Decision::Ask, why.to_owned()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::case::fixture::Fixture;

    #[test]
    fn what_was_never_tried_needs_a_person() {
        let mut fixture = Fixture::new();
        fixture.undrilled = Some("the last drill of ingest failed".into());
        assert_eq!(fixture.refused_by(), Some(("drilled".into(), Decision::Ask)));
        fixture.approved = true;
        assert_eq!(fixture.refused_by(), None);
    }
}
