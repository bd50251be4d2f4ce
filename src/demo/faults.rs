//! The faults, and what is right for each. One table; the verdict of the demo is held against it.

use crate::model::{Decision, Remedy};

/// A fault that can be injected.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is done to the plant.
    pub deed: &'static str,
    /// The pattern that is to be named.
    pub cause: &'static str,
    /// Where it sits.
    pub entity: &'static str,
    /// The verdict that is right.
    pub decision: Decision,
    /// The gate that is to say no.
    pub gate: Option<&'static str>,
    /// What cures it.
    pub remedy: Remedy,
    /// What is right to do, in words.
    pub right: &'static str,
    /// How long the plant runs before, so that there is something to compare with: seconds.
    pub warm_up_s: u64,
    /// How long it is watched after the right verdict, to see that nothing is done that should not be: seconds.
    pub watch_s: u64,
}

const PLAIN: Fault = Fault {
    name: "",
    deed: "",
    cause: "",
    entity: "",
    decision: Decision::Ignore,
    gate: Some("moving-helps"),
    remedy: Remedy::Notify,
    right: "",
    warm_up_s: 4,
    watch_s: 4,
};

/// All faults, in the order of `--fault all`.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "service-crash",
        deed: "kill -9 of the active ingest service",
        cause: "service-crashed",
        entity: "ingest-a",
        decision: Decision::Act,
        gate: None,
        remedy: Remedy::Failover,
        right: "move it: the process is gone and a hot standby is well",
        ..PLAIN
    },
    Fault {
        name: "service-hang",
        deed: "freeze the active ingest service: its port is open and nothing answers",
        cause: "service-hung",
        entity: "ingest-a",
        decision: Decision::Act,
        gate: None,
        remedy: Remedy::Failover,
        right: "move it: it will not come back by itself",
        ..PLAIN
    },
    Fault {
        name: "host-loss",
        deed: "host-a vanishes: its connections hang, its heartbeat stops",
        cause: "host-down",
        entity: "host-a",
        decision: Decision::Act,
        gate: None,
        remedy: Remedy::Failover,
        right: "move it: whatever ran there is gone",
        ..PLAIN
    },
    Fault {
        name: "broker-loss",
        deed: "the broker dies; every device falls silent with it",
        cause: "broker-down",
        entity: "broker",
        right: "repair the broker: every instance hangs on the same one",
        ..PLAIN
    },
    Fault {
        name: "gateway-loss",
        deed: "gateway-2 loses power; its twenty devices fall silent together",
        cause: "gateway-down",
        entity: "gateway-2",
        remedy: Remedy::Reroute,
        right: "send its devices another way: the service is well",
        ..PLAIN
    },
    Fault {
        name: "sensor-stuck",
        deed: "the temperature of sensor-101 stands still",
        cause: "sensor-stuck",
        entity: "sensor-101",
        right: "look at the sensor: the service is well",
        warm_up_s: 14,
        ..PLAIN
    },
    Fault {
        name: "poisoned-message",
        deed: "sensor-305 sends a payload that kills whoever reads it; a supervisor restarts the dead in vain",
        cause: "poisoned-message",
        entity: "sensor-305",
        remedy: Remedy::Isolate,
        right: "isolate the sender: the message would kill each standby in turn",
        watch_s: 6,
        ..PLAIN
    },
    Fault {
        name: "own-network-loss",
        deed: "the agent's own uplink is cut; everybody else goes on",
        cause: "own-network-cut",
        entity: "jurymast",
        decision: Decision::Hold,
        gate: Some("own-senses"),
        remedy: Remedy::Wait,
        right: "hold: what cannot be seen is not known to be broken",
        ..PLAIN
    },
    Fault {
        name: "shared-dependency",
        deed: "the store dies; the active and both standbys answer 503",
        cause: "shared-dependency-down",
        entity: "store",
        right: "repair the store: a standby would suffer the same",
        ..PLAIN
    },
    Fault {
        name: "flapping",
        deed: "the active goes down and comes back again and again",
        cause: "flapping",
        entity: "ingest-a",
        remedy: Remedy::Isolate,
        right: "find out why it flaps: moving on each fall would be worse than the fault",
        watch_s: 5,
        ..PLAIN
    },
];
