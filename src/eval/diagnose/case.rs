//! A labelled case: what may be looked at, and, apart from it, the truth.

use crate::diagnose::causal::Evidence;

pub use crate::diagnose::causal::measure_of;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// The node.
    pub node: String,
    /// The kind of fault, if the set names it.
    pub kind: Option<String>,
}

/// A case.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Cases of one group are scored together as well.
    pub group: Option<&'static str>,
    /// The label.
    pub truth: Truth,
}

/// A set of cases whose evidence is put together one by one.
pub trait Cases {
    /// The cases.
    fn cases(&self) -> &[Case];
    /// What is known of one of them, up to the end of its window.
    fn evidence(&self, case: usize) -> Evidence;
}
