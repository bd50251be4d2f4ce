//! Who measures what: signals of those that show something in them, and of their like that are well, one sensor among others.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::diagnose::Shown;
use crate::model::{EntityKind, EntityName, SignalName, SymptomKind, Topology};

use super::script::{LOOK_EVERY, Part};
use super::signals::{Follows, Shape, Signal};

/// Signals that learned detectors need many samples of.
const DENSE: Duration = Duration::from_millis(100);

/// What a device measures besides, where a case is about how its signals hang together; every other one goes the other way when they no longer do.
const COMPANIONS: [(&str, bool); 5] = [
    ("current", true),
    ("flow", false),
    ("pressure", true),
    ("speed", false),
    ("vibration", true),
];

/// The signals of everybody, in the order of kinds and names. A long play has fewer samples.
pub fn signals(
    parts: &BTreeMap<EntityName, Part>,
    shown: &[Shown],
    onset: Duration,
    long: bool,
    topology: &Topology,
) -> Vec<(EntityName, Signal)> {
    let mut wanted: BTreeMap<(EntityKind, SignalName), Vec<(&Shown, Shape)>> = BTreeMap::new();
    for shown in shown {
        if let Some(shape) = Shape::of(shown.key.kind) {
            let kind = topology.kind(shown.key.entity.as_str());
            let of_signal = wanted.entry((kind, shown.key.signal.clone())).or_default();
            of_signal.push((shown, shape));
        }
    }
    let mut signals = Vec::new();
    for ((kind, name), shown) in wanted {
        let dense = shown.iter().any(|(_, shape)| shape.is_learned());
        let every = if dense && !long { DENSE } else { LOOK_EVERY };
        let of_device = shown
            .iter()
            .any(|(shown, _)| matches!(shown.key.kind, SymptomKind::Decoupled | SymptomKind::Joint));
        // What shows only against what others do is played only where there is something that all of them follow.
        let follow = shown.iter().all(|(_, shape)| shape.of_many());
        for (entity, part) in parts {
            let own = || shown.iter().filter(|(shown, _)| shown.key.entity == *entity);
            let like = topology.kind(entity.as_str()) == kind && part.is_seen();
            let shows = own().next().is_some();
            // A machine whose signals hang together is one of its kind: nobody is to be compared with it.
            if !shows && (of_device || !like) {
                continue;
            }
            let shapes = |of: &dyn Fn(Shape) -> bool| -> Vec<(Duration, Shape, bool)> {
                let of_shape = own().filter(|(_, shape)| of(*shape));
                of_shape
                    .map(|(shown, shape)| (onset + shown.after.0, *shape, shown.over))
                    .collect()
            };
            let following = |signal: Signal| match (follow, of_device) {
                (true, true) => signal.following(Follows::Load(entity.clone())),
                (true, false) => signal.following(Follows::Weather),
                (false, _) => signal,
            };
            // One that has left its past fits no more to the others whatever these do.
            let askew = |shape: Shape| shape == Shape::Askew && follow;
            let signal = Signal::new(
                name.clone(),
                every,
                shapes(&|shape| shape != Shape::Askew || askew(shape)),
            );
            signals.push((entity.clone(), following(signal)));
            for (companion, opposed) in COMPANIONS.into_iter().filter(|_| of_device) {
                let mut signal = Signal::new(companion.into(), every, shapes(&askew));
                signal.opposed = opposed;
                signals.push((entity.clone(), following(signal)));
            }
        }
    }
    signals
}
