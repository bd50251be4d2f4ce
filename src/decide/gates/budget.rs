//! Moves in the window stay within the budget: of the service, of its zone, of the fleet.

use crate::decide::{Case, Gate, Recheck};
use crate::model::{Decision, Refusal};

/// See the module.
pub struct WithinBudget;

impl Gate for WithinBudget {
    fn name(&self) -> &'static str {
        "budget"
    }

    fn recheck(&self) -> Recheck {
        Recheck::Never
    }

    fn check(&self, case: &Case<'_>) -> Result<(), Refusal> {
        if case.approved {
            return Ok(());
        }
        let zone = case.topology.zone(case.state.active.as_str());
        let policy = case.policy;
        let counts = [
            (
                "service",
                policy.service_budget,
                case.count(policy.service_budget, |m| m.service == case.service.name),
            ),
            (
                "zone",
                policy.zone_budget,
                case.count(policy.zone_budget, |m| zone.is_some() && m.zone == zone),
            ),
            ("fleet", policy.fleet_budget, case.count(policy.fleet_budget, |_| true)),
        ];
        for (whose, budget, made) in counts {
            if made >= budget.moves as usize {
                let reason = format!(
                    "{made} moves in the last {}: the {whose} budget of {} is used up",
                    budget.window, budget.moves
                );
                return case.refuse(self, Decision::Ask, reason);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::decide::case::fixture::Fixture;
    use crate::decide::{Move, judge};
    use crate::model::Span;

    fn moved(fixture: &mut Fixture, service: &str, zone: Option<&str>, times: usize) {
        for _ in 0..times {
            fixture.ledger.record(Move {
                service: service.into(),
                zone: zone.map(Into::into),
                at: fixture.now,
            });
        }
    }

    #[test]
    fn each_budget_is_counted_apart() {
        for (service, zone, times, reason) in [
            ("ingest", None, 2, "service budget"),
            ("other", Some("zone-1"), 3, "zone budget"),
            ("other", Some("zone-2"), 5, "fleet budget"),
        ] {
            let mut fixture = Fixture::new();
            moved(&mut fixture, service, zone, times - 1);
            assert_eq!(fixture.refused_by(), None, "{reason}");
            moved(&mut fixture, service, zone, 1);
            let refusal = judge(&fixture.case()).unwrap_err();
            assert!(
                refusal.gate == "budget" && refusal.reason.contains(reason),
                "{refusal:?}"
            );
        }
    }

    #[test]
    fn moves_before_the_window_are_forgotten() {
        let mut fixture = Fixture::new();
        moved(&mut fixture, "ingest", None, 2);
        fixture.policy.service_budget.window = Span::default();
        assert_eq!(fixture.refused_by(), None);
    }
}
