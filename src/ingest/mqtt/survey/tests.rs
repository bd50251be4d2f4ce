//! What a look around tells.

use super::{Survey, filters};
use crate::model::Timestamp;

fn at(second: u32) -> Timestamp {
    Timestamp::from_secs(1_767_225_600 + i64::from(second))
}

fn plant() -> Survey {
    let mut survey = Survey::new(&"plant".into());
    for second in (0..60).step_by(10) {
        for device in ["p1", "p2", "p 3"] {
            let payload = format!(r#"{{"temp": {second}.5, "rpm": 3}}"#);
            survey.message(
                &format!("plant/{device}/telemetry"),
                payload.as_bytes(),
                false,
                at(second),
            );
            survey.message(&format!("plant/{device}/status"), b"online", true, at(second));
        }
        survey.message("house/attic/temp", b"19.5", false, at(second));
        survey.message("house/attic/hum", b"40", false, at(second));
        survey.message("house/cellar/temp", b"9.5", false, at(second));
    }
    survey.message("tele/plug7/LWT", b"Online", true, at(1));
    survey.message("$SYS/broker/clients/connected", b"7", true, at(1));
    survey.message("odd/thing", b"\x01\xff", false, at(1));
    survey.message("press/4", br#"{"readings":[{"k":"force","v":1}]}"#, false, at(1));
    let discovery =
        br#"{"stat_t":"boiler/state","val_tpl":"{{ value_json.t }}","exp_aft":120,"dev":{"ids":["boiler"]}}"#;
    survey.message("homeassistant/sensor/boiler/t/config", discovery, true, at(1));
    survey.message("boiler/state", br#"{"t":1}"#, false, at(2));
    survey
}

#[test]
fn topics_become_few_filters_and_the_names_of_those_who_speak() {
    let survey = plant();
    let filters = filters(&survey.topics);
    let mut said: Vec<String> = filters
        .iter()
        .map(|one| format!("{} {} {}", one.filter, one.decode, one.entity.as_deref().unwrap_or("-")))
        .collect();
    said.sort();
    assert_eq!(
        said,
        [
            "$SYS/# sys -",
            "boiler/state homeassistant -",
            "homeassistant/# homeassistant -",
            "house/{device}/{signal} scalar {device}",
            "plant/{device}/status presence {device}",
            "plant/{device}/telemetry json {device}",
            "press/4 auto -",
            "tele/# tasmota -",
        ]
    );
    let found = survey.found(&filters);
    let names: Vec<&str> = found.iter().map(|one| one.entity.as_str()).collect();
    assert_eq!(
        names,
        ["attic", "boiler", "cellar", "p 3", "p1", "p2", "plug7", "press/4"]
    );
    let p1 = found.iter().find(|one| one.entity.as_str() == "p1").unwrap();
    assert_eq!(
        (p1.period_s, p1.declared, p1.group.as_deref()),
        (Some(10.0), false, Some("rpm+temp"))
    );
    let boiler = found.iter().find(|one| one.entity.as_str() == "boiler").unwrap();
    assert_eq!((boiler.period_s, boiler.declared), (Some(120.0), true));
}

/// Words, numbers and objects side by side under one level: whatever reads a topic reads it as it was read here.
#[test]
fn topics_that_another_filter_would_take_are_listed_by_themselves() {
    for devices in [3, 60] {
        let mut survey = Survey::new(&"plant".into());
        for device in 0..devices {
            survey.message(&format!("s/json-{device}"), br#"{"t": 1}"#, false, at(1));
        }
        for device in 0..=devices {
            survey.message(&format!("s/number-{device}"), b"2", false, at(1));
        }
        let filters = filters(&survey.topics);
        let first = |topic: &str| {
            let fits = |one: &&super::Filter| {
                let pattern = crate::ingest::mqtt::pattern::Pattern::parse(&one.filter).unwrap();
                pattern.matches(topic).is_some()
            };
            filters.iter().find(fits).unwrap().decode.clone()
        };
        let said = [first("s/json-0"), first("s/json-2"), first("s/number-0")];
        let many = devices > super::filters::LISTED_MAX;
        assert_eq!(said, if many { ["auto"; 3] } else { ["json", "json", "scalar"] });
        let topics: usize = filters.iter().map(|one| one.topics).sum();
        assert_eq!(topics, survey.topics.len(), "{filters:?}");
    }
}
