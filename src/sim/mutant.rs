//! Rules that are broken on purpose, to see that the laws notice.

/// A rule that is broken in this world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mutant {
    /// A fence says that it has closed and has not.
    NoFence,
    /// A seal says that it has closed and has not.
    NoSeal,
    /// A sealed target refuses lower tokens only, and still obeys what the sealing plan itself had sent before.
    SealOnlyLower,
    /// A target forgets the highest token when it starts anew.
    TokenNotPersisted,
    /// An intent is said to be on disk before it is.
    JournalAfterEffect,
    /// The lease is taken to last for ever.
    LeaseNotChecked,
    /// A refusal by the gates is taken for a yes.
    PermitIgnored,
    /// After a crash a step is repeated without a look at its effect.
    RepeatedBlindly,
    /// The store carries out a write once more that it was sent twice, whatever was written since.
    RepeatedWrites,
    /// An agent that starts anew does not count its epoch up.
    EpochNotCounted,
    /// Whoever is stopped to make room says that it has ended and has not.
    NobodyStops,
    /// A leader that sees nothing keeps its lead.
    NobodyGivesWay,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::NoFence,
        Self::NoSeal,
        Self::SealOnlyLower,
        Self::TokenNotPersisted,
        Self::JournalAfterEffect,
        Self::LeaseNotChecked,
        Self::PermitIgnored,
        Self::RepeatedBlindly,
        Self::RepeatedWrites,
        Self::EpochNotCounted,
        Self::NobodyStops,
        Self::NobodyGivesWay,
    ];
}
