//! A labelled case: what may be looked at, and, apart from it, the truth.

use crate::diagnose::causal::{Evidence, Measure};

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

/// What a metric measures, from the words in its name, as exporters name theirs.
pub fn measure_of(name: &str) -> Measure {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if name.starts_with("node") {
        return Measure::Other;
    }
    if has(&["latency", "duration", "response_time", "rt_"]) {
        if has(&["client"]) {
            return Measure::ClientLatency;
        }
        return Measure::Latency;
    }
    if has(&["cpu"]) {
        return if has(&["rate", "%", "percent", "share"]) {
            Measure::CpuShare
        } else {
            Measure::Cpu
        };
    }
    if has(&["mem"]) {
        return Measure::Memory;
    }
    if has(&["success", "availab"]) {
        return Measure::Availability;
    }
    if has(&["error", "fail"]) {
        return Measure::Errors;
    }
    if has(&["workload", "load", "request", "ops", "qps", "rps"]) {
        return Measure::Requests;
    }
    if has(&["disk", "fs_", "_io", "syscall", "write", "read"]) {
        return Measure::Disk;
    }
    if has(&["network", "socket", "receive", "transmit", "tcp", "packet"]) {
        return Measure::Network;
    }
    Measure::Other
}
