//! Is it me who is cut off?
//!
//! What this agent reaches directly, without what the suspected cause explains, must answer. Any answer counts, even a
//! refusal: it proves that the way there works. Too much out of reach at once says that our own eyes are bad.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, EntityName, Refusal};

/// Of fewer things a share says little.
const MIN_TO_SHARE: usize = 4;

/// See the module.
pub struct OwnSenses;

impl Gate for OwnSenses {
    fn name(&self) -> &'static str {
        "own-senses"
    }

    fn recheck(&self) -> Recheck {
        Recheck::BeforeCommit
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        let suspect = case.top().map(|top| &top.entity).filter(|entity| *entity != case.agent);
        let explained = suspect
            .map(|entity| case.topology.downstream(entity.as_str()))
            .unwrap_or_default();
        let related =
            |entity: &EntityName| Some(entity) == suspect || explained.contains(entity) || *entity == case.state.active;
        let max_age = case.policy.max_evidence_age.0;
        let (answering, tried) = case.senses.answering(case.agent, case.now, max_age, related);
        if tried == 0 {
            let reason = format!(
                "nothing unrelated to the fault was looked at in the last {}: add a canary (policy.canaries)",
                case.policy.max_evidence_age
            );
            return case.refuse(self, Decision::Hold, reason);
        }
        let red_share = (tried - answering) as f64 / tried as f64;
        if answering == 0 || (tried >= MIN_TO_SHARE && red_share > case.policy.max_red_share) {
            let reason = format!(
                "only {answering} of {tried} unrelated things that {} looks at answer: it may be cut off itself",
                case.agent
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
    use crate::decide::senses::tests::look;
    use crate::model::{Check, Reach, Span};

    #[test]
    fn when_nothing_answers_it_is_us() {
        let mut fixture = Fixture::new();
        for other in ["ingest-b", "store", "broker"] {
            fixture
                .senses
                .observe(&look(other, Check::Probe, Reach::Unreachable, fixture.now));
        }
        assert_eq!(fixture.refused_by(), Some(("own-senses".into(), Decision::Hold)));
    }

    #[test]
    fn one_unrelated_answer_shows_that_we_are_on_the_network() {
        let mut fixture = Fixture::new();
        for other in ["ingest-b", "printer"] {
            fixture
                .senses
                .observe(&look(other, Check::Probe, Reach::Unreachable, fixture.now));
        }
        assert_eq!(fixture.refused_by(), None);
    }

    #[test]
    fn too_much_red_at_once_is_not_believed() {
        let mut fixture = Fixture::new();
        for n in 0..5 {
            fixture.senses.observe(&look(
                &format!("other-{n}"),
                Check::Scrape,
                Reach::Unreachable,
                fixture.now,
            ));
        }
        assert_eq!(fixture.refused_by(), Some(("own-senses".into(), Decision::Hold)));
    }

    #[test]
    fn old_looks_prove_nothing() {
        let mut fixture = Fixture::new();
        fixture.now = fixture.now + Span::secs(60).0;
        assert_eq!(fixture.refused_by(), Some(("own-senses".into(), Decision::Hold)));
    }
}
