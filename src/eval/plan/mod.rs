//! Evaluation of the planner: what its solvers are worth on public instances with known best values, and on made fleets.

pub mod fleet;
pub mod gap;
