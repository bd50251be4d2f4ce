//! Planning: which standby takes over, and by which steps; and, for a whole fleet, who goes where when something is lost.
//!
//! In: a service, the topology, facts about candidates. Out: candidates in order with the reason for each refusal, and the steps of a playbook with
//! every variable filled in. Over a whole fleet: `fleet` (names and units), `solver` (the bare problem), `contingency` (each single failure,
//! ahead of time). Never: a verdict, an effect.

mod check;
pub mod circle;
pub mod contingency;
pub mod fleet;
mod greedy;
pub mod places;
mod playbook;
mod problem;
mod room;
pub mod solver;

pub use check::{check, check_plan};
pub use greedy::Greedy;
pub use playbook::{Playbook, PlaybookError, Playbooks, Yielding, put_in};
pub use problem::{Choice, Facts, Lower, MakingRoom, Problem};

use crate::model::{EntityName, Service, Topology};

/// Ranks the places where the service could go from `from`.
pub fn choose(service: &Service, from: &EntityName, topology: &Topology, facts: &dyn Facts) -> Choice {
    let problem = Problem {
        service,
        from,
        topology,
        facts,
    };
    let choice = Greedy::rank(&problem);
    debug_assert_eq!(check(&problem, &choice), Ok(()));
    choice
}
