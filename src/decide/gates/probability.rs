//! The calibrated probability that a move cures this is high enough for the service.
//!
//! Counted over all causes that a move cures: whether the process or its host died, the standby is the answer.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal};

/// See the module.
pub struct Probability;

impl Gate for Probability {
    fn name(&self) -> &'static str {
        "probability"
    }

    fn recheck(&self) -> Recheck {
        Recheck::Never
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        let probability = case.cure_probability();
        if probability + 1e-9 >= case.service.min_probability {
            return Ok(());
        }
        let reason = format!(
            "a move cures this with probability {probability:.2}; {} wants {:.2}",
            case.service.name, case.service.min_probability
        );
        case.refuse(self, Decision::Hold, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::case::fixture::Fixture;

    #[test]
    fn a_doubtful_cause_waits_for_more_evidence() {
        let mut fixture = Fixture::new();
        fixture.top().probability = 0.7;
        assert_eq!(fixture.refused_by(), Some(("probability".into(), Decision::Hold)));
    }

    #[test]
    fn two_causes_with_the_same_cure_count_together() {
        let mut fixture = Fixture::new();
        fixture.top().probability = 0.5;
        let mut host = fixture.top().clone();
        host.entity = "host-a".into();
        host.probability = 0.45;
        fixture.incident.hypotheses.push(host);
        assert_eq!(fixture.refused_by(), None);
    }
}
