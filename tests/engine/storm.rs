//! Much of a large plant breaks at once: what is told is the cause, and nothing of it is lost.

use std::collections::BTreeSet;

use jurymast::model::Incident;

use crate::harness::fleet::Fleet;

const DEVICES: usize = 600;

fn fleet_after_a_calm_while() -> Fleet {
    let mut fleet = Fleet::new(DEVICES);
    fleet.pass(60, |_, _| true);
    assert_eq!(open(&fleet).count(), 0);
    fleet
}

fn open(fleet: &Fleet) -> impl Iterator<Item = &Incident> {
    fleet.engine.incidents().filter(|incident| incident.is_open())
}

fn top(incident: &Incident) -> (&str, &str) {
    incident
        .top()
        .map_or(("", ""), |top| (top.fault.as_str(), top.entity.as_str()))
}

#[test]
fn hundreds_that_fall_silent_at_once_are_one_incident_of_the_broker() {
    let mut fleet = fleet_after_a_calm_while();
    fleet.pass(15, |_, _| false);
    let found: Vec<&Incident> = open(&fleet).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(top(found[0]), ("broker-down", "mq"));
    assert_eq!(found[0].symptoms.len(), DEVICES);
}

#[test]
fn a_gateway_among_many_is_told_from_single_devices() {
    let mut fleet = fleet_after_a_calm_while();
    let single = |device: usize| device >= 50 && device.is_multiple_of(97);
    fleet.pass(20, |device, _| device >= 50 && !single(device));
    let found: BTreeSet<(&str, &str)> = open(&fleet).map(top).collect();
    let mut expected = BTreeSet::from([("gateway-down", "gateway-0")]);
    let names: Vec<String> = (0..DEVICES)
        .filter(|d| single(*d))
        .map(|d| format!("device-{d}"))
        .collect();
    expected.extend(names.iter().map(|name| ("device-dead", name.as_str())));
    assert_eq!(found, expected);
}

#[test]
fn of_many_that_die_one_by_one_each_stands_in_an_incident() {
    let mut fleet = fleet_after_a_calm_while();
    let dies = |device: usize| device.is_multiple_of(15);
    fleet.pass(60, |device, second| !dies(device) || device / 15 >= second);
    let told: BTreeSet<String> = open(&fleet)
        .flat_map(|incident| &incident.symptoms)
        .map(|symptom| symptom.key.entity.to_string())
        .collect();
    let dead: BTreeSet<String> = (0..DEVICES)
        .filter(|d| dies(*d))
        .map(|d| format!("device-{d}"))
        .collect();
    assert_eq!(told, dead);
    let by_name = open(&fleet).filter(|incident| {
        let alone = incident.symptoms.first().map(|symptom| symptom.key.entity.as_str());
        incident.symptoms.len() == 1 && Some(top(incident)) == alone.map(|entity| ("device-dead", entity))
    });
    assert!(by_name.count() >= 31, "those that can be told apart are");
}
