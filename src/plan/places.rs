//! What hosts and zones state of themselves, as attributes: labels, capacities, how far zones are apart.

use std::collections::BTreeSet;

use crate::model::{EntityName, Topology};

/// The attribute of a host that lists its labels.
pub const LABELS: &str = "labels";

/// Attributes of a host that begin so are capacities.
pub const CAPACITY: &str = "capacity.";

/// Attributes of a zone that begin so tell how many milliseconds another zone is away.
pub const LATENCY_MS: &str = "latency_ms.";

/// The largest number that is taken for a capacity or a latency.
pub const NUMBER_MAX: f64 = 1e9;

/// The labels of a host.
pub fn labels<'a>(topology: &'a Topology, host: &EntityName) -> BTreeSet<&'a str> {
    let stated = stated(topology, host.as_str(), LABELS).unwrap_or_default();
    let labels = stated.split([',', ' ']).map(str::trim);
    labels.filter(|label| !label.is_empty()).collect()
}

/// What the host has of that resource.
pub fn capacity(topology: &Topology, host: &EntityName, resource: &str) -> Option<f64> {
    number(stated(topology, host.as_str(), &format!("{CAPACITY}{resource}"))?)
}

/// How many milliseconds two zones are apart; either may say it.
pub fn latency_ms(topology: &Topology, one: &str, other: &str) -> Option<f64> {
    if one == other {
        return Some(0.0);
    }
    let says = |of: &str, to: &str| number(stated(topology, of, &format!("{LATENCY_MS}{to}"))?);
    says(one, other).or_else(|| says(other, one))
}

/// A stated number; `None` if it is none, or out of range.
pub fn number(text: &str) -> Option<f64> {
    text.trim()
        .parse()
        .ok()
        .filter(|value| (0.0..=NUMBER_MAX).contains(value))
}

fn stated<'a>(topology: &'a Topology, entity: &str, attribute: &str) -> Option<&'a str> {
    topology.entity(entity)?.attributes.get(attribute).map(String::as_str)
}
