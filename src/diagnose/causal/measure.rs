//! What a signal measures, told from the words that exporters use in names.

use super::Measure;

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
