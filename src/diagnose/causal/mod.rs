//! Root causes without any pattern: which node, and in which way, from the measurements before and after a given moment.
//!
//! In: [`Evidence`], matrices of what was measured before and after, the call graph, what spans and log lines changed. Out: [`Ranked`] nodes with
//! probabilities and the kind of fault. Never: a name that decides; a case is judged only by the kinds of evidence that it has.
//!
//! Several small scorers, each strong on its own kind of fault, say how much speaks for a pair of node and kind, in nats; [`fuse`] weighs them. A new
//! one is one file and one line in [`SCORERS`].

mod fuse;
mod measure;
mod scorers;
pub mod stats;
#[cfg(test)]
mod tests;

pub use fuse::{Ranked, Ranking, diagnose};
pub use measure::measure_of;
pub use stats::Series;

/// A place where a fault can sit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// How it is called.
    pub name: String,
    /// What is known of it is known from who speaks with it: it is one end of an edge, whose other end is a node of its own.
    pub view_only: bool,
}

/// What a signal measures; decides which way is bad and which scorers read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Seconds to serve a request.
    Latency,
    /// Seconds that calls to others take.
    ClientLatency,
    /// Percent of requests that are answered well.
    Availability,
    /// Requests that failed.
    Errors,
    /// Requests.
    Requests,
    /// Percent of its processor limit that it uses.
    CpuShare,
    /// Processor time in any unit.
    Cpu,
    /// Memory in any unit.
    Memory,
    /// Reading and writing of disks.
    Disk,
    /// Bytes or packets on the network, open sockets.
    Network,
    /// Anything else.
    Other,
}

/// One measurement of one node.
#[derive(Debug, Clone)]
pub struct Signal {
    /// Whose, as an index into the nodes.
    pub node: usize,
    /// Of what.
    pub measure: Measure,
    /// Its name, for people.
    pub name: String,
    /// The values.
    pub series: Series,
}

/// Who calls whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Who calls.
    pub caller: usize,
    /// Who is called.
    pub callee: usize,
}

/// The time that is lost between two ends of an edge: what the caller waits less what the callee works.
#[derive(Debug, Clone)]
pub struct Gap {
    /// The edge.
    pub link: Link,
    /// Seconds.
    pub series: Series,
}

/// What spans and log lines show to have changed in the work of a node, and that nothing below it in the same traces explains.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// Whose.
    pub node: usize,
    /// In which way.
    pub change: Change,
    /// How surprising, in nats.
    pub surprise: f64,
    /// The share of the strange traces in which this node is strange.
    pub coverage: f64,
    /// Of times: how many times as long.
    pub factor: f64,
    /// It is a log line that tells it.
    pub in_log: bool,
    /// What, for people.
    pub what: String,
}

/// A way in which the work of a node can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A step that used to be taken is not.
    Vanished,
    /// A step is taken that used not to be.
    Appeared,
    /// A step is taken that used not to be, and it speaks of an error.
    Failed,
    /// Its own work takes longer.
    Slower,
}

/// The symptom that somebody saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Where.
    pub node: usize,
    /// In what.
    pub measure: Measure,
}

/// All that is known of one case.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The places.
    pub nodes: Vec<Node>,
    /// The call graph.
    pub links: Vec<Link>,
    /// What was measured at the nodes.
    pub signals: Vec<Signal>,
    /// What was measured between them.
    pub gaps: Vec<Gap>,
    /// What spans and log lines tell.
    pub behaviours: Vec<Behaviour>,
    /// The symptom, if one is given.
    pub seen: Option<Seen>,
    /// Seconds between two values.
    pub period_s: f64,
}

impl Evidence {
    /// The signal of a node for a measure.
    pub fn signal(&self, node: usize, measure: Measure) -> Option<&Series> {
        self.signals
            .iter()
            .find(|signal| signal.node == node && signal.measure == measure)
            .map(|signal| &signal.series)
    }

    /// Whom a node calls.
    pub fn callees(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.links
            .iter()
            .filter(move |link| link.caller == node)
            .map(|link| link.callee)
    }

    /// Who calls a node.
    pub fn callers(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.links
            .iter()
            .filter(move |link| link.callee == node)
            .map(|link| link.caller)
    }
}

/// The ways in which a node can be at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something beside it takes its processor.
    CpuContention,
    /// Its own code takes the processor.
    CpuConsumed,
    /// What it sends arrives late.
    NetworkDelay,
    /// It throws.
    Exception,
    /// It ends its work too early, or with a wrong answer.
    Return,
    /// It is slow for a reason that nothing here names.
    Slow,
    /// Its answers fail for a reason that nothing here names.
    Failing,
    /// Its memory grows.
    Memory,
    /// Its disks are busy.
    Disk,
    /// Something else.
    Other,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::CpuContention => "cpu_contention",
            Self::CpuConsumed => "cpu_consumed",
            Self::NetworkDelay => "network_delay",
            Self::Exception => "exception",
            Self::Return => "return",
            Self::Slow => "latency",
            Self::Failing => "availability",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Other => "other",
        }
    }
}

/// What one scorer says of one node.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The node.
    pub node: usize,
    /// The way.
    pub kind: Kind,
    /// How much speaks for it, in nats; may be negative.
    pub weight: f64,
    /// Why, for people.
    pub why: String,
}

/// One way to look at a case.
pub trait Scorer: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// What it finds. Nothing, if the case lacks what it looks at.
    fn score(&self, evidence: &Evidence) -> Vec<Finding>;
}

const SCORERS: &[&dyn Scorer] = &[
    &scorers::Resource,
    &scorers::Network,
    &scorers::Steps,
    &scorers::Calls,
    &scorers::Carried,
    &scorers::OwnTime,
    &scorers::Onset,
    &scorers::Walk,
];
