//! This agent holds the lease, and its epoch is fresh.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal};

/// See the module.
pub struct HasLease;

impl Gate for HasLease {
    fn name(&self) -> &'static str {
        "lease"
    }

    fn recheck(&self) -> Recheck {
        Recheck::Always
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        if case.lease.epoch == 0 {
            return case.refuse(self, Decision::Hold, "this agent holds no lease".into());
        }
        if case.now >= case.lease.until {
            let reason = format!(
                "the lease of epoch {} ran out at {}",
                case.lease.epoch, case.lease.until
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
    fn without_a_lease_nobody_acts() {
        let mut fixture = Fixture::new();
        fixture.lease.epoch = 0;
        assert_eq!(fixture.refused_by(), Some(("lease".into(), Decision::Hold)));
    }

    #[test]
    fn a_lease_ends_at_its_time() {
        let mut fixture = Fixture::new();
        fixture.lease.until = fixture.now;
        assert_eq!(fixture.refused_by(), Some(("lease".into(), Decision::Hold)));
    }
}
