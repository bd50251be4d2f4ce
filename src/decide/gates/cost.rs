//! Of all remedies a move is expected to cost least, over all causes that may be meant.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal, Remedy};

/// See the module.
pub struct Cheapest;

impl Gate for Cheapest {
    fn name(&self) -> &'static str {
        "cost"
    }

    fn recheck(&self) -> Recheck {
        Recheck::Never
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        let costs = case.remedies();
        let Some(best) = costs.first().filter(|best| best.remedy != Remedy::Failover) else {
            return Ok(());
        };
        let a_move = costs.iter().find(|option| option.remedy == Remedy::Failover);
        let reason = format!(
            "a move is expected to cost {:.1}, to {} {:.1} (policy.costs)",
            a_move.map_or(f64::INFINITY, |option| option.cost),
            best.remedy.phrase(),
            best.cost
        );
        case.refuse(self, Decision::Hold, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::case::fixture::Fixture;

    #[test]
    fn where_a_wrong_move_is_ruinous_even_a_likely_cure_is_not_tried() {
        let mut fixture = Fixture::new();
        fixture.top().probability = 0.85;
        let mut other = fixture.top().clone();
        other.fault = "something".into();
        other.probability = 0.15;
        other.remedy = Remedy::Notify;
        other.moving_helps = false;
        fixture.incident.hypotheses.push(other);
        assert_eq!(fixture.refused_by(), None);
        fixture.policy.costs.wrong_move = 1000.0;
        assert_eq!(fixture.refused_by(), Some(("cost".into(), Decision::Hold)));
    }
}
