//! There is a standby with fresh enough data, free capacity, and no conflict of affinity or zone.

use crate::decide::Target;
use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal};

/// See the module.
pub struct HasTarget;

impl Gate for HasTarget {
    fn name(&self) -> &'static str {
        "target"
    }

    fn recheck(&self) -> Recheck {
        Recheck::BeforeCommit
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        match case.target {
            Target::Found(_) => Ok(()),
            Target::None(reason) => case.refuse(self, Decision::Ask, format!("no standby can take over: {reason}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::case::fixture::Fixture;

    #[test]
    fn without_a_place_to_go_a_person_is_asked() {
        let mut fixture = Fixture::new();
        fixture.target = Target::None("ingest-b is 90s behind, the RPO is 60s".into());
        assert_eq!(fixture.refused_by(), Some(("target".into(), Decision::Ask)));
    }
}
