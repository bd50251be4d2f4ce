//! The service was not moved, nor a move of it taken back, a short while ago.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal, Span};

/// See the module.
pub struct CoolDown;

impl Gate for CoolDown {
    fn name(&self) -> &'static str {
        "cool-down"
    }

    fn recheck(&self) -> Recheck {
        Recheck::Never
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        if case.approved {
            return Ok(());
        }
        if let Some(moved) = case.state.moved {
            let ago = Span(case.passed(moved));
            if ago < case.service.cool_down {
                let reason = format!(
                    "{} was moved {ago} ago; cool-down is {}",
                    case.service.name, case.service.cool_down
                );
                return case.refuse(self, Decision::Ask, reason);
            }
        }
        if let Some(taken_back) = case.state.taken_back {
            let ago = Span(case.passed(taken_back));
            if ago < case.policy.retry_after {
                let reason = format!(
                    "a move was taken back {ago} ago; the next try is {} after it",
                    case.policy.retry_after
                );
                return case.refuse(self, Decision::Hold, reason);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::case::fixture::Fixture;

    #[test]
    fn a_second_move_soon_after_the_first_needs_a_person() {
        let mut fixture = Fixture::new();
        fixture.state.moved = Some(fixture.now - Span::secs(299).0);
        assert_eq!(fixture.refused_by(), Some(("cool-down".into(), Decision::Ask)));
        fixture.approved = true;
        assert_eq!(fixture.refused_by(), None);
    }

    #[test]
    fn a_move_that_was_taken_back_is_not_tried_again_at_once() {
        let mut fixture = Fixture::new();
        fixture.state.taken_back = Some(fixture.now);
        assert_eq!(fixture.refused_by(), Some(("cool-down".into(), Decision::Hold)));
    }
}
