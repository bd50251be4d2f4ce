//! What executors of replicated databases have in common: when a move waits for the last record, and what a server counts for that nobody reaches.

use serde::Deserialize;

use super::Call;
use crate::act::runner::{Applied, Effect};
use crate::model::plan::PlanKind;

/// Host and port of an address.
pub(super) fn split(address: &str) -> Result<(&str, u16), String> {
    let (host, port) = address
        .rsplit_once(':')
        .ok_or_else(|| format!("'{address}' is not host:port"))?;
    Ok((host, port.parse().map_err(|_| format!("'{port}' is not a port"))?))
}

/// What to think of a host or server that cannot be reached, and so cannot be fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unreachable {
    /// The step fails, and with it the plan.
    #[default]
    Fail,
    /// Another fence of the same playbook keeps clients away from it.
    Ok,
}

impl Unreachable {
    /// What came of a fence that found nobody.
    pub fn applied(self, call: &Call<'_>, why: String, else_: impl FnOnce(String) -> Applied) -> Applied {
        match self {
            Self::Fail => else_(why),
            Self::Ok => {
                tracing::warn!(plan = %call.plan, %why, "cannot be reached; the other fence of this playbook keeps clients away");
                Applied::Done
            }
        }
    }

    /// What a look at such a fence shows.
    pub const fn seen(self) -> Effect {
        match self {
            Self::Fail => Effect::Unknown,
            Self::Ok => Effect::There,
        }
    }
}

/// A dead primary sends nothing any more, and how much may be lost was judged by the lag: only a planned move waits for the last record.
pub(super) fn waits_for_the_last(kind: PlanKind) -> bool {
    kind != PlanKind::Failover
}

/// A move without a word about it is one because something is broken.
pub(super) const fn broken() -> PlanKind {
    PlanKind::Failover
}

/// Why a planned move goes no further.
pub(super) fn lacks() -> Applied {
    Applied::NoEffect("the new primary lacks something that the old one has written".into())
}
