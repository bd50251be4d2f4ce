//! The designs: the one that is used, and what a weaker one leaves out.

/// What a design does. The one that is used does all of it.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own, kept or not")]
pub(super) struct Design {
    /// Agents, each leading for one epoch.
    pub(super) agents: u8,
    /// Targets refuse lower tokens, sealed ones also those that are no higher; and do the same command once.
    pub(super) tokens: bool,
    /// Intents are kept where all agents look.
    pub(super) journal: bool,
    /// … and are written only if the writer still leads.
    pub(super) compared: bool,
    /// Whatever an earlier plan named, or this one has tried, is sealed.
    pub(super) seals: bool,
    /// The journal is emptied when a plan ends well, and with it where the service runs and whom plans have named.
    pub(super) empties: bool,
    /// A target may start anew, and has forgotten what it has seen.
    pub(super) forgets: bool,
    /// An agent may die and be started anew while it leads.
    pub(super) dies: bool,
    /// A command may go unanswered, and a look may tell nothing. Without it an agent waits until the answer comes, however late: it stands still there.
    pub(super) silence: bool,
    /// Once, an entry is written so late, or the right to act is lost so shortly before the effect, that the gates must be asked again: before the commit point
    /// the plan is taken back, behind it it goes on.
    pub(super) hinders: bool,
}

pub(super) const USED: Design = Design {
    agents: 2,
    tokens: true,
    journal: true,
    compared: true,
    seals: true,
    empties: false,
    forgets: false,
    dies: true,
    silence: true,
    hinders: true,
};
