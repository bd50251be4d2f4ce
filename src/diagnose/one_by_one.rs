//! Very many that fell one after the other: more faults than are told apart, and none that explains them all.
//!
//! Batteries of one age run down, a field is taken out of service, a plague of moisture: hundreds fall silent within days, each by itself. What is left when as many
//! faults were told apart as may be is then called what it is, with how many and how fast, instead of one unknown fault at the first of them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{EntityKind, FaultName, Hypothesis, Symptom, SymptomKind, Timestamp, Topology};

use super::group::{Group, lost_contact};

/// Fewer are no crowd.
const MANY: usize = 16;

/// What falls within so short a time may have fallen together, and no more of all may have than this share.
const TOGETHER: Duration = Duration::from_secs(10);
const SHARE: usize = 8;

/// Calls the unknown cause of such a group by its name.
pub fn name(group: &mut Group, topology: &Topology) {
    let Some(told) = told(&group.symptoms, topology) else {
        return;
    };
    if let Some(top) = group
        .hypotheses
        .first_mut()
        .filter(|top| top.fault.as_str() == Hypothesis::SOMETHING_ELSE)
    {
        top.fault = FaultName::from(Hypothesis::ONE_BY_ONE);
        top.evidence_for = told;
    }
}

/// In words, if they fell one by one.
fn told(symptoms: &[Symptom], topology: &Topology) -> Option<Vec<String>> {
    let mut fell: BTreeMap<&str, (Timestamp, SymptomKind)> = BTreeMap::new();
    for symptom in symptoms.iter().filter(|symptom| lost_contact(symptom.key.kind)) {
        let first = (symptom.onset, symptom.key.kind);
        let known = fell.entry(symptom.key.entity.as_str()).or_insert(first);
        *known = (*known).min(first);
    }
    let mut onsets: Vec<Timestamp> = fell.values().map(|(onset, _)| *onset).collect();
    onsets.sort_unstable();
    let (first, last) = (onsets.first()?, onsets.last()?);
    let within = |place: usize| {
        let begun = onsets.get(place).copied().unwrap_or(*last);
        onsets.partition_point(|onset| *onset <= begun + TOGETHER) - place
    };
    let together = (0..onsets.len()).map(within).max().unwrap_or(0);
    if fell.len() < MANY || together * SHARE > fell.len() {
        return None;
    }
    let mut sorts: BTreeMap<(EntityKind, SymptomKind), usize> = BTreeMap::new();
    for (entity, (_, kind)) in &fell {
        *sorts.entry((topology.kind(entity), *kind)).or_default() += 1;
    }
    let ((of, shows), _) = sorts.iter().max_by_key(|(_, count)| **count)?;
    let of = format!("{of:?}s").to_lowercase();
    let minutes = last.since(*first).as_secs() / 60;
    let who = if sorts.len() > 1 {
        format!(
            "{} entities, most of them {of}, fell one by one, most of them {shows:?}",
            fell.len()
        )
    } else {
        format!("{} {of} fell {shows:?} one by one", fell.len())
    };
    Some(vec![
        format!(
            "{who}, within {minutes} minutes and never more than {together} in {} s",
            TOGETHER.as_secs()
        ),
        "nothing in common explains them".to_owned(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::testing::symptom;
    use crate::model::TopologyChange;

    fn silent(number: i64, apart_s: i64) -> Symptom {
        let onset = Timestamp::from_secs(1_000_000 + number * apart_s);
        symptom(&format!("device-{number}"), SymptomKind::Silent, "", onset)
    }

    fn named(count: i64, apart_s: i64) -> Option<Vec<String>> {
        let mut topology = Topology::new();
        for number in 0..count {
            topology.apply(&TopologyChange::Met {
                entity: format!("device-{number}").into(),
                kind: EntityKind::Device,
            });
        }
        let symptoms: Vec<Symptom> = (0..count).map(|number| silent(number, apart_s)).collect();
        told(&symptoms, &topology)
    }

    #[test]
    fn hundreds_that_fall_one_by_one_are_called_that() {
        let told = named(500, 20).unwrap().join("; ");
        assert_eq!(
            told,
            "500 devices fell Silent one by one, within 166 minutes and never more than 1 in 10 s; nothing in common explains them"
        );
    }

    #[test]
    fn a_few_are_no_crowd_and_a_burst_is_not_one_by_one() {
        assert_eq!(named(10, 20), None);
        assert_eq!(named(500, 0), None);
    }
}
