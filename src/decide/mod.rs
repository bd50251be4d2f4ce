//! Decision: would moving help, and may we?
//!
//! In: a [`Case`], that is one incident as it touches one service, with everything that a gate may ask. Out: `Ok`, or the
//! [`Refusal`] of the first gate that said no. Never: a change of anything; the engine keeps the state.
//!
//! [`GATES`] is the whole decision, in one list, in order. A new gate is one new file in `gates/` and one line here.

mod case;
mod gates;
mod leaps;
mod policy;
mod remedy;
mod senses;
mod state;
mod window;

pub use case::{Case, Target, curable, suffers};
pub use gates::held::ON_HOLD;
pub use leaps::Leaps;
pub use policy::{Budget, Canary, Policy};
pub use remedy::{Costs, Matter, remedies};
pub use senses::{Look, Senses};
pub use state::{Gone, Ledger, Move, RefusedOrder, ServiceState};
pub use window::MaintenanceWindow;

use crate::model::{Decision, Refusal};

/// One condition that must hold before production is moved.
pub trait Gate: Send + Sync {
    /// The name that verdicts carry and that the reference page lists.
    fn name(&self) -> &'static str;

    /// `Ok` if the gate is open.
    fn check(&self, case: &Case<'_>) -> Result<(), Refusal>;

    /// When a running plan asks this gate again, right before a step.
    fn recheck(&self) -> Recheck;

    /// What it asks is opened by nothing but a person's yes. Nobody is waited for longer than the time limit.
    fn is_question(&self) -> bool {
        false
    }
}

/// When a gate is asked again while a plan runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recheck {
    /// Only before the plan starts.
    Never,
    /// Before each step up to the commit point; after it a plan only goes forward.
    BeforeCommit,
    /// Before every step.
    Always,
}

/// All gates, in the order in which they are asked. First whether a move is the cure at all, then whether we are the ones
/// to make it, then where to, last whether the time has come.
pub const GATES: &[&dyn Gate] = &[
    &gates::own_senses::OwnSenses,
    &gates::cause::Cause,
    &gates::probability::Probability,
    &gates::cost::Cheapest,
    &gates::in_flight::InFlight,
    &gates::held::Held,
    &gates::denied::Denied,
    &gates::maintenance::Maintenance,
    &gates::silenced::Silenced,
    &gates::ready::Ready,
    &gates::settled::Settled,
    &gates::lease::HasLease,
    &gates::evidence::FreshEvidence,
    &gates::target::HasTarget,
    &gates::fence::Fenced,
    &gates::hold_off::HoldOff,
    &gates::dependencies::Dependencies,
    &gates::confirmed::Confirmed,
    &gates::cool_down::CoolDown,
    &gates::budget::WithinBudget,
    &gates::drilled::Drilled,
    &gates::approval::Approved,
];

/// Asks every gate in order and stops at the first that says no.
pub fn judge(case: &Case<'_>) -> Result<(), Refusal> {
    GATES.iter().try_for_each(|gate| gate.check(case))
}

/// Does it wait for nothing but a person's yes?
pub fn is_question(refusal: &Refusal) -> bool {
    refusal.decision == Decision::Ask
        && GATES
            .iter()
            .any(|gate| gate.is_question() && gate.name() == refusal.gate)
}

/// Asks again, right before a step of a running plan, those gates that a plan must still pass.
pub fn judge_step(case: &Case<'_>, committed: bool) -> Result<(), Refusal> {
    GATES
        .iter()
        .filter(|gate| match gate.recheck() {
            Recheck::Never => false,
            Recheck::BeforeCommit => !committed,
            Recheck::Always => true,
        })
        .try_for_each(|gate| gate.check(case))
}

#[cfg(test)]
mod tests {
    use super::case::fixture::Fixture;
    use super::*;

    #[test]
    fn a_clear_case_passes_every_gate() {
        assert_eq!(judge(&Fixture::new().case()), Ok(()));
    }

    #[test]
    fn gate_names_are_unique() {
        let mut names: Vec<_> = GATES.iter().map(|gate| gate.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), GATES.len());
    }

    #[test]
    fn after_the_commit_point_only_a_lost_lease_stops_a_plan() {
        let always: Vec<_> = GATES
            .iter()
            .filter(|gate| gate.recheck() == Recheck::Always)
            .map(|g| g.name())
            .collect();
        assert_eq!(always, ["lease"]);
    }
}
