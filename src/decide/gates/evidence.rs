//! Something recent says that the active instance is in trouble.
//!
//! A symptom that was raised long ago and never looked at again moves nothing.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal, Span};

/// See the module.
pub struct FreshEvidence;

impl Gate for FreshEvidence {
    fn name(&self) -> &'static str {
        "evidence"
    }

    fn recheck(&self) -> Recheck {
        Recheck::BeforeCommit
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        let raised = case.incident.symptoms.iter().map(|symptom| symptom.raised).max();
        let looked = case
            .senses
            .looks(case.state.active.as_str())
            .map(|(.., look)| look.at)
            .max();
        let Some(newest) = raised.max(looked) else {
            return case.refuse(self, Decision::Hold, "no symptom stands any more".into());
        };
        let age = Span(case.now.since(newest));
        if age > case.policy.max_evidence_age {
            let reason = format!(
                "the newest evidence is {age} old; at most {} is allowed (policy.max_evidence_age)",
                case.policy.max_evidence_age
            );
            return case.refuse(self, Decision::Hold, reason);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Senses;
    use crate::decide::case::fixture::Fixture;
    use crate::decide::senses::tests::look;
    use crate::model::{Check, Reach};

    #[test]
    fn stale_evidence_moves_nothing() {
        let mut fixture = Fixture::new();
        fixture.policy.max_evidence_age = Span::secs(2);
        fixture.senses = Senses::default();
        for other in ["store", "broker"] {
            fixture
                .senses
                .observe(&look(other, Check::Probe, Reach::Refused, fixture.now));
        }
        assert_eq!(fixture.refused_by(), Some(("evidence".into(), Decision::Hold)));
    }
}
